"""`gimel.js`, made from its source with esbuild and terser from npm."""

import gzip
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "gimel/backend/browser"
SCRIPT = SOURCES / "gimel.js"
# The condition holds in a page, so what a server needs is left out. Without a raw configuration,
# esbuild looks for a tsconfig.json in all folders above.
BUNDLE = """--bundle --minify --format=iife --target=es2020 --log-level=warning --tsconfig-raw={}
--define:globalThis.document=1 --define:globalThis=self"""
MINIFY = "--compress passes=3,unsafe_arrows,unsafe --mangle --ecma 2020"
HEADER = "// Made from gimel.mjs\n"


def build() -> str:
    """Return the script."""
    tools = ROOT / "build/node_modules/.bin"
    code = run([str(tools / "esbuild"), str(SOURCES / "script.mjs"), *BUNDLE.split()])
    return HEADER + run([str(tools / "terser"), *MINIFY.split()], code)


def run(command: list[str], code: str = "") -> str:
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def gzipped(script: str) -> int:
    """Return the size of the script as `gzip -9` makes it."""
    return len(gzip.compress(script.encode(), 9, mtime=0))


def write() -> None:
    if "GIMEL_WRITE_DOCS" in os.environ:
        SCRIPT.write_text(build(), "utf-8")
