"""An experiment's definition, which is what its owner declares about it, and its history.

A request's JSON body comes in. `checks` looks at each value by itself, and `definition` at all of
them together. `changes` says what may still change once events are counted, and turns a change into
fields of the experiment's settings, a hash in Redis. `counting.declaring` writes these fields, and
`definition` reads them back from there.

Once an hour, `snapshots` counts each running experiment and writes its counts into its `history`, a
hash of its own. `results.record` records verdicts then, even if nobody reads.

`flags` keeps the definitions of the experiments that are flags, and `assignment` decides which
variant a visitor gets.

Read `definition` first, then `history`.
"""
