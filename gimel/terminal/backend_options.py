"""The backend that a command talks to: the options that choose it, and how it is found."""

import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import click

from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import Backend, BackendClient
from gimel.config.file import load
from gimel.config.local_backends import key_of
from gimel.terminal.text import plain
from gimel.wsgi import is_loopback


def _check_namespace(ctx: click.Context, parameter: click.Parameter, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("must be valid UTF-8 text") from None
    return name


namespace_option = click.option(
    "--namespace",
    callback=_check_namespace,
    default=DEFAULT_NAMESPACE,
    show_default=True,
    help="Namespace (environment) of the experiment.",
)


def _check_url(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Return the URL of a backend. Raises click.BadParameter, which quotes no password."""
    if url is None:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, _ = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        host = ""
    if not host or url != url.strip():
        raise click.BadParameter("must look like https://host[:port][/path]")
    if parts.username is not None:
        raise click.BadParameter("must hold no password: GIMEL_KEY holds the key")
    if parts.scheme not in ("http", "https"):
        raise click.BadParameter(f"must start with https:// or http://{_suggestion(parts, host)}")
    return url


def _suggestion(parts: SplitResult, host: str) -> str:
    if parts.scheme:
        return ""
    scheme = "http" if is_loopback(host) else "https"
    return f": did you mean {plain(parts._replace(scheme=scheme).geturl())}?"


url_option = click.option(
    "--url",
    callback=_check_url,
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
