"""`gimel.js`: made from its source, small, and served so that browsers keep it."""

import base64
import gzip
import hashlib

import pytest

from gimel import gimel as handlers
from gimel.backend.browser import read_script, script_path
from tests.support import browser_build
from tests.support.handler_requests import request

# Bytes. AlephBet 0.27.0 takes 6,900.
MOST = 2_150


def test_it_is_small() -> None:
    assert browser_build.gzipped(read_script()) <= MOST


@pytest.mark.slow
def test_it_is_made_from_its_source() -> None:
    browser_build.write()
    written = "write it: GIMEL_WRITE_DOCS=1 pytest -k made_from_its_source"
    assert browser_build.SCRIPT.read_text("utf-8") == browser_build.build(), written


def test_it_can_stand_inside_a_page() -> None:
    script = read_script()
    assert script.startswith("// Made from gimel.mjs")
    # Nothing of it ends the script element, or depends on the page's encoding.
    assert "</" not in script
    assert "<!--" not in script
    assert script.isascii()


def test_it_is_served_to_anyone_and_kept_for_as_long_as_it_is_the_same() -> None:
    answer = handlers.handle(request("GET", "/gimel.js"))
    assert (answer["statusCode"], answer["body"]) == (200, read_script())
    assert answer["headers"] == {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "public, max-age=300",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
    }
    path, _, version = script_path().partition("?v=")
    assert path == "gimel.js"
    assert hashlib.sha256(read_script().encode()).hexdigest().startswith(version)
    for_years = "public, max-age=31536000, immutable"
    asked = handlers.handle(request("GET", "/gimel.js", {"v": version}))
    assert asked["headers"]["cache-control"] == for_years
    for other in ("", "old", version[:-1], f"{version}&x=<script>"):
        asked = handlers.handle(request("GET", "/gimel.js", {"v": other}))
        assert asked == answer


def test_it_is_compressed_for_who_takes_that() -> None:
    takes = {"accept-encoding": "gzip, br"}
    packed = handlers.handle(request("GET", "/gimel.js", headers=takes))
    assert packed["headers"]["content-encoding"] == "gzip"
    content = base64.b64decode(packed["body"])
    assert gzip.decompress(content).decode() == read_script()
    assert len(content) <= MOST
