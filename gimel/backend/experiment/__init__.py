"""An experiment's definition: what its owner declares about it.

A request's JSON body comes in. `checks` looks at each value by itself, and `definition` at all of
them together. `changes` says what may still change once events are counted, and turns a change into
fields of the experiment's settings, a hash in Redis. `counting.declaring` writes these fields, and
`definition` reads them back from there.

Read `definition` first.
"""
