"""News: messages about what an owner should know, each sent once, to a webhook or an SNS topic.

`messages` makes them from an experiment's description and from what is not counted yet. `traffic`
decides whether visitors have stopped coming. Both are pure functions, and `gimel watch` uses them
on a terminal.

The writer of snapshots shows each declared experiment to the `outbox`, which keeps new messages in
Redis until `delivery` has sent them. Undeclared experiments are no news: strangers can make as many
of them as they like.

Read `messages` first, then `outbox`.
"""
