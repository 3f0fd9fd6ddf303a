"""The checks of `gimel preflight`. Each one finds an obstacle to a deploy and names the cure.

`preflight` makes the checks in order, and checks the config file and AWS itself. `permissions`
checks what the caller may do, `function_url` checks the region, `redis` checks Redis, and `cache` a
managed Redis that does not exist yet. `check` is the result of one check.

Read `preflight.run` first.
"""
