"""The path from counts to verdicts.

The counts of one experiment come in, with its owner's definition. The door is `describe` of
`counts.ExperimentCounts`: it returns most of the answer of `GET /experiment`, and calls `analysis`
for the inference. `analysis` handles one goal after another, and `sample_ratio` tests the split of
the visitors. For each goal, `comparison` tests every variant against the baseline, and `posterior`
computes chances and expected losses. `e_values` holds the evidence that is valid at any look. Then
`verdict` judges all goals: by the rule in `decision`, in the words of `sentences` and `lift`.
docs/statistics.md derives the formulas.

A goal that a visitor may reach many times takes another way: `measures` says how it is measured,
and `between` takes its variance between samples of visitors. `arms` chooses the way.

`record` is the door for the routes. It describes counts, and writes each first verdict into Redis.
All other functions are pure. Outside this package, the statistics import the standard library only.
`counts` also imports the definition and the counting methods, and through these redis-py.

Read `analysis` first.
"""
