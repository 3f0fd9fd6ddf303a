"""Files with the data that earlier versions left in Redis: `python -m tests.support.old_data.make`.

gimel-1.5.0.json and lamed-0.4.3.json were made by those programs from PyPI, in environments of
their own. gimel-2.0-before-backups.json was made by the handlers of a revision of this repository,
the last one without `gimel export`: `--before REVISION`. Each program got the same events, into an
empty Valkey. A file maps each key to its type and its value; strings are in base64. A file that
exists is kept: it is the old program's word.
"""

import argparse
import base64
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import redis

from tests.support.old_handlers import OldHandlers
from tests.support.redis_content import content, fill
from tests.support.servers import url_of, valkey

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VISITORS = 30

# For handlers with payload format 2.0: each line of input is a request.
_RUN = """
import json, sys
from gimel import gimel
from gimel.backend import process
for method, path, query, body in json.load(sys.stdin):
    http = {"method": method, "path": f"/prod{path}"}
    answer = gimel.handle({
        "version": "2.0", "routeKey": f"{method} {path}", "rawPath": f"/prod{path}",
        "rawQueryString": query, "headers": {}, "requestContext": {"http": http}, "body": body,
        "isBase64Encoded": False,
    })
    assert answer["statusCode"] == 200, answer
process.counters()._tally.flush()
"""
DEFINITION = {
    "variants": [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}],
    "goals": [{"name": "signup", "role": "primary"}],
    "planned_visitors": 1000,
}


def events(visitors: range, experiment: str = "button color") -> list[dict[str, str]]:
    """Each visitor of two variants takes part; every third one signs up."""
    return [
        {
            "experiment": experiment,
            "uuid": f"id{number}",
            "variant": "ab"[number % 2],
            "event": event,
        }
        for number in visitors
        for event in ("participate", "signup")[: 2 if number % 3 == 0 else 1]
    ]


def requests() -> list[list[Any]]:
    put = json.dumps(DEFINITION)
    found: list[list[Any]] = [
        ["PUT", "/experiment", "experiment=declared", put],
        ["PUT", "/experiment", "experiment=exact", json.dumps(DEFINITION | {"counting": "exact"})],
    ]
    for name in ("button color", "declared", "exact", "deleted"):
        found.append(["POST", "/e", "", json.dumps(events(range(VISITORS), name))])
    stray = events(range(1), "declared")[0] | {"variant": "stray"}
    found.append(["POST", "/e", "", json.dumps([stray])])
    found.append(["POST", "/settings", "experiment=button%20color", '{"baseline": "b"}'])
    found.append(["DELETE", "/delete", "experiment=deleted", None])
    return found


def run_revision(revision: str, store: redis.Redis, folder: Path) -> None:
    """Run the handlers of this repository as they were."""
    packed = subprocess.run(
        ["git", "archive", revision, "gimel"], check=True, capture_output=True, cwd=ROOT
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    variables = {"GIMEL_REDIS_URL": url_of(store), "GIMEL_KEY_SHA256": "none", "GIMEL_SHARDS": "4"}
    subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps(requests()),
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | variables | {"PYTHONPATH": str(folder)},
    )


def save(store: redis.Redis, name: str) -> None:
    found = content(store)
    text = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(_plain(found[key]))}" for key in sorted(found)
    )
    (HERE / name).write_text(f"{{\n{text}\n}}\n")


def _plain(typed: tuple[str, Any]) -> list[Any]:
    kind, value = typed
    if kind == "string":
        return [kind, base64.b64encode(value).decode()]
    if kind == "hash":
        return [kind, {field.decode(): each.decode() for field, each in value.items()}]
    return [kind, [each.decode() for each in value]]


def load(store: redis.Redis, path: Path) -> None:
    """Fill a Redis with a file."""
    found = {
        key: (kind, base64.b64decode(value) if kind == "string" else value)
        for key, (kind, value) in json.loads(path.read_text()).items()
    }
    fill(store, found)


def main() -> None:
    """Make the files that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="HEAD", help="revision of this repository")
    asked = parser.parse_args()
    old = [("track", each) for each in events(range(VISITORS))]
    for name in ("gimel-1.5.0.json", "lamed-0.4.3.json", "gimel-2.0-before-backups.json"):
        if (HERE / name).exists():
            continue
        with valkey() as store, tempfile.TemporaryDirectory() as folder:
            if name.startswith("gimel-2"):
                run_revision(asked.before, store, Path(folder))
            else:
                OldHandlers(store, Path(folder))(name.partition("-")[0], *old)
            save(store, name)


if __name__ == "__main__":
    main()
