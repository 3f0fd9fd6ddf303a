"""What the commands print, and how they end.

`gimel.cli` holds the commands of any backend, `stack_commands` those of a deployed one. `group`
turns expected errors into one message and an exit code. `results` and `report` print tables and
status through `text`, which makes hostile names harmless. `sample_size` computes what
`gimel sample-size` prints.

Read `gimel.cli` first.
"""
