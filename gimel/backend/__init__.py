"""The backend: it counts events and answers questions, on redis and the standard library alone.

This package ships to Lambda, with `gimel/__init__.py`, `gimel/gimel.py` and `gimel/aws_lambda.py`.
Three things come in.

Events come from pages and servers. `gimel.gimel.track` checks the key if the request has one
(`access`), and ignores `bots`. `tracking` takes the events from the request (`wire`). `intake`
hands the events to the counters (`counting`), which check the `limits` and write to Redis
(`redis`). When Redis does not reply, or replies with an error, `intake` puts the events on a
`queue` instead, or into a `spool` where there is no SQS.

Evaluations of flags come from OpenFeature's providers (`ofrep`). The definitions of the flags are
kept in memory for a minute (`experiment.flags`), so an evaluation asks Redis nothing.

Questions come from owners, with a key (`access`). The counts are read (`counting`), combined with
the owner's definition (`experiment`), and turned into rates, intervals and verdicts (`results`).
The answer is JSON. The `dashboard` is a page that asks the same questions; `page` serves it. Once
an hour, the counts go into a history (`experiment`), whether anybody asks or not, and the `news` go
to a webhook or a topic.

`process` makes the connection, the counters and the intake, and keeps them between requests. `log`
writes log lines. `inspection` reports the state of Redis as the functions see it. `errors` draws
the tree of all errors.

Read `wire` first, then `intake`, then `counting.counters`.
"""
