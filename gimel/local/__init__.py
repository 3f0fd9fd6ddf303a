"""The backend on this machine: the handlers behind an HTTP server, with an embedded Valkey.

The options of `gimel local` come in, a server on a port goes out. `server` starts the HTTP server
and Valkey, counts the events that had to wait for Valkey, and stops both. `demo` counts made-up
experiments and serves a page to try.

Read `server` first.
"""
