"""Counting: how many different visitors did what, in which variant of which experiment.

Events come in, counts go out. `counters` is the door: it adds events and reads experiments. A
counter is registered once before it counts (`registration`), and is made of HyperLogLogs
(`hyperloglog`) or, where its owner wants no error, of sets of integers (`exact`). `keys` spells
every key that Gimel has in Redis. `migration` moves experiments of gimel 1.x and lamed.

Read `keys` first: it shows the data model.
"""
