"""Contents of config.json, read: what they say, or what is wrong with them."""

import json

import pytest

from gimel.config.file import ConfigError, parse
from gimel.config.settings import Config

URL = "rediss://gimel:hunter2@redis.example.com:6380/2"
OLD = {
    "redis": {"host": "redis.example.com", "port": 6379, "password": "hunter2"},
    "extra_wiring": [
        {
            "lambda": {"FunctionName": "gimel-track", "Handler": "gimel.track", "Timeout": 3},
            "api_gateway": {"pathPart": "kcart", "method": {"httpMethod": "GET"}},
        }
    ],
}


def parsed(content: object) -> Config:
    return parse(json.dumps(content))


def mistakes(content: object) -> list[str]:
    """What is wrong with it, a line for each mistake, without the file's name."""
    with pytest.raises(ConfigError) as raised:
        parse(json.dumps(content), "here.json")
    assert str(raised.value) == "\n".join(raised.value.mistakes)
    # A chained error would print what was typed.
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    lines = list(raised.value.mistakes)
    assert all(line.startswith("here.json: ") and "\n" not in line for line in lines)
    return [line.removeprefix("here.json: ") for line in lines]


def with_redis(**settings: object) -> dict[str, object]:
    return {"redis": settings}
