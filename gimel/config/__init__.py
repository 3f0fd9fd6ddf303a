"""The configuration: config.json in, typed and checked settings out.

`file` finds and reads the file, and explains each mistake in one line. `settings` lists all
settings, and holds the sections `aws` and `limits`. `stack` holds the sections `timeouts`,
`reserved_concurrency`, `throttle`, `vpc` and `domain`, the base class of all sections, and the
validators that they share. `redis` holds the section `redis`, and `advice`, which tells a user what
is wrong with Redis and what to do. `local_backends` records the keys of backends on this machine.

Read `settings` first.
"""
