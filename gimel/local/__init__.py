"""The backend on this machine: the handlers behind an HTTP server, with an embedded Valkey.

The options of `gimel local` come in, a server on a port goes out. `server` puts the parts together.
`valkey` runs one Valkey in the data folder, `http` runs granian. `made_up` counts the made-up
experiments of the demo, and `demo` serves a page to try.

Read `server` first.
"""
