"""Counting: how many different visitors did what, in which variant of which experiment.

Events come in, counts go out. `counters` is the door: it adds events and reads experiments. Each
process registers each counter that it uses once a minute (`registration`). What a declared
experiment counts is in `admission`; `tally` counts the events that are ignored instead. A counter
is made of HyperLogLogs (`hyperloglog`) or, where its owner wants no error, of sets of integers
(`exact`). Amounts are in HyperLogLogs as well (`amounts`). `method` chooses between the three. What
is added to a counter is hashed with the experiment's `salt`.

`reading` finds experiments and counts their events. Registration and reading are conversations with
Redis: `conversation` holds many of them side by side. `declaring` writes an owner's declarations
and records them. `migration` moves experiments of gimel 1.x and lamed. `keys` spells every key that
Gimel has in Redis.

Read `keys` first: it shows the data model.
"""
