"""One deployment on AWS: from the settings to functions that answer, and back to nothing.

There is no state file: names and tags say which resources belong to a stack.

Settings come in. `wanted` derives the stack that should exist. `observe` asks AWS what does exist
and returns it as plain data (`observed`). `plan` compares the two and returns the changes
(`change`). `apply` makes them. `prepare` combines the first three steps, which change nothing;
`gimel.deploy` adds the last one and sends a probe event through the result. `progress` says what
is under way. A deploy that stops half-way leaves the changes it has made, and the next deploy
observes them.

The settings of the resources are in `wanted`; those of the SQS queues are in `plan.queue`, those of
the rule for snapshots in `plan.schedule`, those of the alarms in `alarms`, and the IAM policies, of
the functions and for deploying, in `permissions`.

Beside that path, `aws` makes every call to AWS. `region` finds the region where credentials are not
needed. `login` says what to type when credentials are missing or have expired, `refusals` lists the
errors after which a call is repeated, and `trace` reports the calls for `--debug`. `bundle` builds
the zip that Lambda runs. `lock` keeps two commands from changing a stack at once. `preflight`
checks what a deploy needs. `deployed` finds a deployed stack, and asks its functions how they see
Redis. `status` shows a stack's state. `operations` shows its logs and rolls it back.
`destruction` deletes it and its counts; `teardown` plans that. `redrive` moves dead letters back to
the queue.

Read `wanted` first, then `plan.plan`.
"""
