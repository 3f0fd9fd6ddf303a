"""The path from counts to verdicts: pure functions, standard library only.

The counts of one experiment come in, with the settings that its owner declared (`counts`).
`analysis` handles one goal after another. For each goal, `comparison` tests every variant against
the baseline, `posterior` computes chances and expected losses, and `verdict` decides. The result is
the answer of `GET /experiment`. docs/statistics.md derives the formulas.

Read `analysis` first.
"""
