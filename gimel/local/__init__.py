"""The backend on this machine: the handlers behind an HTTP server, on an embedded Valkey.

Options of `gimel local` come in, a server on a port goes out. `server` starts and stops both and
counts what had to wait for Redis; `demo` fills it with made-up experiments and serves a page.
"""
