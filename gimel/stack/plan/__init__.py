"""The plan: the changes that turn the observed stack into the wanted one.

All functions are pure. A wanted stack and an observed one come in; changes go out, in the order in
which `apply` makes them. `plan` combines the plans of all resources. It plans the main key, the log
groups, the functions and their versions itself, and notes what a plan cannot change. `role` plans
the functions' role. `api` plans the HTTP API and the custom domain, and repairs gimel 1.x's REST
API. `function_url` plans the tracking function's URL, `permission` who may invoke the functions.
`queue` plans the SQS queues, their settings and their event source mapping. `cache` plans the
managed Redis. `alarms` plans the alarms and the topic that mails them. `ownership` tells which
stack a resource belongs to, and refuses to touch the resources of others. `difference` compares
settings with what AWS returns.

Read `plan` first.
"""
