"""The path from counts to verdicts.

The counts of one experiment come in, with its owner's definition. The door is `describe` of
`counts.ExperimentCounts`: it returns most of the answer of `GET /experiment`, and calls `analysis`
for the inference. `analysis` tests the sample ratio, and handles one goal after another. For each
goal, `comparison` tests every variant against the baseline, and `posterior` computes chances and
expected losses. Then `verdict` judges all goals: by the rule in `decision`, in the words of
`sentences`. docs/statistics.md derives the formulas.

`record` is the door for the routes. It describes counts, and writes each first verdict into Redis.
All other functions are pure. Outside this package, the statistics import the standard library only.
`counts` also imports the definition and the counting methods, and through these redis-py.

Read `analysis` first.
"""
