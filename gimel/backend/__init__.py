"""The backend: everything that ships to Lambda, on redis and the standard library alone.

Two things come in. Events come from pages and servers: `gimel.gimel.track` takes the fields from
the request (`wire`), and `intake` hands the events to the counters (`counting`), which check the
`limits` and write to Redis (`redis`). When Redis does not answer, `intake` puts the events on a
`queue` instead, or into a `spool` where there is no SQS.

Questions come from owners: the counts are read (`counting`), combined with what the owner declared
(`experiment`), and turned into rates, intervals and verdicts (`results`). The answer is JSON. The
`dashboard` is a page that asks the same questions; `page` serves it.

Read `wire` first, then `intake`, then `counting.counters`.
"""
