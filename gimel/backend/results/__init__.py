"""From counts to verdicts: pure functions, standard library only.

The counts of one experiment and its definition come in (`experiment`). `analysis` goes through its
goals: `comparison` tests each variant against the baseline, `posterior` gives chances and expected
losses, and `verdict` says what to do. What goes out is what `GET /experiment` answers.
docs/statistics.md derives the formulas.

Read `analysis` first.
"""
