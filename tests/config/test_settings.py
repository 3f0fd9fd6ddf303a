"""The settings as a whole: files of gimel 1.x, the runtime, extra wiring."""

import pytest

from gimel.config.file import ConfigError
from tests.support.configurations import OLD, mistakes, parsed, with_redis


def test_a_file_of_gimel_1_works_as_it_is() -> None:
    read = parsed(OLD)
    assert read.redis.address == "redis://:hunter2@redis.example.com:6379/0"
    assert [wiring.route for wiring in read.extra_wiring] == ["GET /kcart"]
    assert (read.stack, read.shards) == ("gimel", 64)


@pytest.mark.parametrize("runtime", ["python3.8", "python3.10", "nodejs22.x", 3.12])
def test_a_runtime_that_lambda_no_longer_has(runtime: object) -> None:
    (line,) = mistakes(with_redis(host="h") | {"runtime": runtime})
    assert line.startswith("runtime: ")
    assert "python3.14" in line


def test_a_setting_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed(with_redis(host="h")).stack = "another"


@pytest.mark.parametrize(
    ("function", "path", "place"),
    [
        ("gimel-other", "kcart", "lambda.FunctionName"),
        ("gimel-track", "e", "api_gateway.pathPart"),
        ("gimel-track", "a/b", "api_gateway.pathPart"),
    ],
)
def test_wiring_that_cannot_be(function: str, path: str, place: str) -> None:
    wiring = {
        "lambda": {"FunctionName": function},
        "api_gateway": {"pathPart": path, "method": {"httpMethod": "GET"}},
    }
    with pytest.raises(ConfigError, match=rf"extra_wiring\.0\.{place}"):
        parsed({"redis": {"host": "h"}, "extra_wiring": [wiring]})
