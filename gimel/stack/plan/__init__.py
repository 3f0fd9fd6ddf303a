"""The plan: the changes that turn the observed stack into the wanted one.

All functions are pure. A wanted stack and an observed one come in; changes go out, in the order in
which `apply` makes them. `plan` combines the plans of all resources. It plans the main key, the log
groups and the functions itself. `role` plans the functions' role, `api` the HTTP API and the custom
domain, `queue` the SQS queues and their settings. `ownership` tells which stack a resource belongs
to, and refuses to touch the resources of others.

Read `plan` first.
"""
