"""The plan: what must change so that the observed stack becomes the wanted one.

Pure functions: a wanted stack and an observed one come in, changes go out, in the order in which
they have to be made. `plan` walks through the parts of a stack; `role`, `api` and `queue` plan
theirs; `ownership` refuses to touch what belongs to another stack.
"""
