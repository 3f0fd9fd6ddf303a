"""The observation of a stack: calls that ask AWS what exists, and change nothing.

A stack's names come in; `observed.Observed`, plain data, goes out. `observe` observes everything in
parallel. The other modules observe one kind of resource each, as the modules of `plan` plan one
kind each. `legacy` observes what gimel 1.x left.

Read `observe.observe` first.
"""
