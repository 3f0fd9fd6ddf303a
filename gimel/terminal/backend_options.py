"""The backend that a command talks to: the options that choose it, and how it is found."""

import os
from pathlib import Path

import click

from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import Backend, BackendClient
from gimel.config.file import load
from gimel.config.local_backends import key_of

namespace_option = click.option(
    "--namespace",
    default=DEFAULT_NAMESPACE,
    show_default=True,
    help="Namespace (environment) of the experiment.",
)
url_option = click.option(
    "--url",
    help="Use the backend at this URL, e.g. http://127.0.0.1:8000, instead of the deployed one. "
    "Its key comes from the environment variable GIMEL_KEY. The key of `gimel local` on this "
    "machine is found without it.",
)


def find_backend(config_file: Path | None, url: str | None) -> Backend:
    """Return the backend at `url` or, without one, the deployed backend."""
    if url is not None:
        return Backend(url.rstrip("/"), os.environ.get("GIMEL_KEY") or key_of(url))
    from gimel.stack.deployed import find

    return find(load(config_file, ", or name a backend with --url").config)


def connect_client(config_file: Path | None, url: str | None) -> BackendClient:
    """Return a client of the backend at `url` or, without one, of the deployed backend."""
    backend = find_backend(config_file, url)
    return BackendClient(backend.url, backend.key, backend.function_url)
