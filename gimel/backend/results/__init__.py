"""The path from counts to verdicts.

The counts of one experiment come in, with its owner's definition. The door is `describe` of
`counts.ExperimentCounts`: it returns most of the answer of `GET /experiment`, and calls `analysis`
for the inference. `analysis` handles one goal after another, and `sample_ratio` tests the split of
the visitors. For each goal, `comparison` tests every variant against the baseline, `posterior`
computes chances and expected losses, and `verdict` decides. `e_values` holds the evidence that is
valid at any look, and `lift` puts lifts into words. docs/statistics.md derives the formulas.

All functions are pure. Outside this package, the statistics import the standard library only.
`counts` also imports the definition and the counting methods, and through these redis-py.

Read `analysis` first.
"""
