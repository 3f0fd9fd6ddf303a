"""The configuration: config.json in, typed and checked settings out.

`file` finds and reads the file, and explains each mistake in one line. `settings` lists all
settings. Two sections have modules of their own: `redis`, and `stack` for what is deployed.

Read `settings` first.
"""
