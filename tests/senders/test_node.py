"""docs/senders/node.md: its server, in Node."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from gimel import Client
from tests.support.documented_examples import (
    examples,
    for_backend,
    successes,
    visitors,
    wait_for,
    write,
)
from tests.support.gimel_local import LocalBackend
from tests.support.http_server import serving
from tests.support.servers import free_port

pytestmark = pytest.mark.slow

SENDER, SERVER = examples("senders/node.md", "js")
(COPY,) = examples("senders/node.md", "sh")
VARIANTS = ["one step", "two steps"]


@contextmanager
def served(folder: Path, backend: str) -> Iterator[str]:
    """Serve the application of the page. Yields its address."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    code = for_backend(COPY, backend)
    subprocess.run(["sh", "-ec", code], cwd=folder, env=os.environ | {"PATH": path}, check=True)
    write(SENDER, folder, backend)
    server = write(SERVER, folder, backend)
    port = free_port()
    command = ["node", str(folder / server)]
    with serving(command, f"http://127.0.0.1:{port}", {"PORT": str(port)}):
        yield f"http://127.0.0.1:{port}"


def visit(shop: str, number: int) -> str:
    """See the checkout, and order. Return the variant that was shown."""
    cookies = {"visitor": f"visitor-{number}"}
    page = requests.get(f"{shop}/checkout", cookies=cookies, timeout=60).text
    assert requests.post(f"{shop}/order", cookies=cookies, timeout=60).status_code == 200
    return page.removeprefix("<p>").removesuffix("</p>")


def test_the_server(local: LocalBackend, tmp_path: Path) -> None:
    expected = Client(None).experiment("checkout", VARIANTS)
    with served(tmp_path, local.url) as shop:
        shown = [visit(shop, number) for number in range(30)]
        assert shown == [expected.variant(f"visitor-{number}") for number in range(30)]
        wait_for(local.client, "order", 30, "checkout")
        with local.down():
            shown += [visit(shop, number) for number in range(30, 40)]
        wait_for(local.client, "order", 40, "checkout")
        assert visitors(local.client, "checkout") == {each: shown.count(each) for each in VARIANTS}
        visit(shop, 40)
    # What waited when it was told to end is sent.
    assert successes(local.client, "order", "checkout") == 41
