"""One deployment on AWS. There is no state file: names and tags say what belongs to a stack.

Settings come in. `wanted` turns them into the stack that should exist, `observe` asks AWS what does
exist (`observed`), `plan` compares the two and returns changes (`change`), and `apply` makes them.
`prepare` does the first three steps, which write nothing; `gimel.deploy` adds the last one, and
sends an event through the result.

Beside that path: `bundle` builds the zip, `aws` makes each call to AWS, `permissions` writes the
IAM policies, `preflight` checks what a deploy needs, `deployed` finds a stack that exists,
`operations` keeps it running, `queues` looks after its queues, `teardown` plans its removal.

Read `wanted` first, then `plan.plan`.
"""
