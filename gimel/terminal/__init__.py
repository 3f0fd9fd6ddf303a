"""The commands in the terminal: what they print, and how they end.

`gimel.cli` defines the command `gimel`. The commands of a deployed stack are in `stack_commands`,
those of its keys in `key_commands`, those of an experiment in `experiment_commands`;
`backend_options` finds the backend that they talk to. `configure` writes the configuration. `group`
prints the help, and turns expected errors into one message and an exit code.

`results` prints experiments, with the table that `goal_table` makes of each goal. `report` prints
everything about a stack, and `progress` shows what is under way. They print names through `text`,
which makes hostile names harmless, and `hints` makes the commands that they suggest. `sample_size`
computes what `gimel sample-size` prints, and `percentages` reads its options.

Read `gimel.cli` first.
"""
