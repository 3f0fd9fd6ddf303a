"""docs/senders/python.md: its Flask and Django applications, on gunicorn."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from gimel import Client
from gimel.backend.experiment.assignment import takes_part
from tests.support.documented_examples import examples, successes, visitors, write
from tests.support.gimel_local import LocalBackend
from tests.support.http_server import serving
from tests.support.servers import free_port

pytestmark = pytest.mark.slow

FLASK, DJANGO = examples("senders/python.md", "python")


@contextmanager
def served(code: str, name: str, folder: Path, backend: str) -> Iterator[str]:
    """Serve an application of the page. Yields its address."""
    assert write(code, folder, backend) == "shop.py"
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", address, name]
    paths = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    with serving(command, f"http://{address}", {"PYTHONPATH": paths}):
        yield f"http://{address}"


@pytest.mark.parametrize(
    ("code", "name", "weights", "traffic"),
    [
        (FLASK, "shop:app", {"one step": 1, "two steps": 1}, 1.0),
        (DJANGO, "shop:application", {"one step": 80, "two steps": 20}, 0.5),
    ],
    ids=["flask", "django"],
)
def test_an_application(
    code: str,
    name: str,
    weights: dict[str, float],
    traffic: float,
    local: LocalBackend,
    tmp_path: Path,
) -> None:
    expected = {}
    with served(code, name, tmp_path, local.url) as shop:
        for visitor in (f"visitor-{number}" for number in range(40)):
            cookie = {"visitor": visitor}
            shown = Client(None).variant("checkout", weights, visitor, traffic=traffic)
            for _ in range(2):
                page = requests.get(f"{shop}/checkout", cookies=cookie, timeout=60)
                assert f"<p>{shown}</p>" in page.text
            assert "Thank you" in requests.post(f"{shop}/order", cookies=cookie, timeout=60).text
            if takes_part("checkout", visitor, traffic):
                expected[visitor] = shown
        # A visitor who is new gets an id.
        assert len(requests.get(f"{shop}/", timeout=60).cookies["visitor"]) == 36
    # Each worker sent what waited before it ended.
    shown = list(expected.values())
    assert visitors(local.client, "checkout") == {each: shown.count(each) for each in weights}
    assert successes(local.client, "order", "checkout") == len(expected)
