"""The configuration: config.json in, typed and checked settings out.

`file` finds and reads the file, and explains each mistake in one line. `settings` lists all
settings; `redis` and `stack` hold the sections that need more than a type.

Read `settings` first.
"""
