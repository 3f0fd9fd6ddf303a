"""The words for a mistake: for every setting and every kind of value, and for keys that repeat."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gimel.config.definition import ExperimentFile, mistakes_in, read_declarations
from gimel.config.file import ConfigError, parse
from gimel.config.settings import Config
from tests.support.configurations import mistakes, with_redis

HUGE = 10**30
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1.5, float("inf"), float("nan"), HUGE, -HUGE, 1e300, "", "abc"),
    *("x" * 5000, "\ud800", "5", "true", "managed", [], {}, [1], {"a": 1}, [None], [[]]),
    *({"a": "b"}, {"a": None}),
]
TWO = {"experiment": "e", "variants": [{"name": "a"}, {"name": "b"}]}


def paths(model: type[BaseModel]) -> Iterator[tuple[str | int, ...]]:
    """Return the path of each key, those of the items of lists too."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield (key,)
        found = [each for each in parts(field.annotation) if is_model(each)]
        item = (0,) if list in parts(field.annotation) or "list[" in str(field.annotation) else ()
        for section in found:
            yield from ((key, *item, *rest) for rest in paths(section))


def parts(annotation: Any) -> list[Any]:
    return [annotation, *(part for each in get_args(annotation) for part in parts(each))]


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def nested(path: tuple[str | int, ...], value: Any) -> Any:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    return value


def test_every_value_of_every_setting_is_taken_or_explained() -> None:
    found = list(paths(Config))
    assert ("redis", "managed", "ecpu") in found
    assert ("extra_wiring", 0, "api_gateway", "method", "httpMethod") in found
    for path in found:
        for value in VALUES:
            content = {"redis": {"host": "h"}} | nested(path, value)
            try:
                parse(json.dumps(content), "here.json")
            except ConfigError as error:
                for line in error.mistakes:
                    assert "not a valid value" not in line, (path, value)
                    assert line.startswith(f"here.json: {path[0]}")
                    assert len(line) < 400


def test_every_value_of_every_field_of_a_definition_is_taken_or_explained() -> None:
    for path in paths(ExperimentFile):
        for value in VALUES:
            for line in mistakes_in(TWO | nested(path, value)):
                assert "not a valid value" not in line, (path, value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"shards": "many"}, 'shards: must be a whole number, not "many"'),
        ({"shards": 1.5}, "shards: must be a whole number, not 1.5"),
        ({"throttle": {"rate": "5/s"}}, 'throttle.rate: must be a number, not "5/s"'),
        ({"bots": "no"}, "bots: must be 'ignore' or 'count', not \"no\""),
        ({"memory": None}, "memory: must be a whole number, not null"),
        ({"tags": ["a"]}, "tags: must be an object, {…}, not a list"),
        ({"accept": "x" * 99}, f"accept: must be 'all' or 'declared', not \"{'x' * 38}…"),
    ],
)
def test_a_mistake_says_what_the_value_is(content: dict[str, object], line: str) -> None:
    assert mistakes(with_redis(host="h") | content) == [line]


def test_a_value_beside_the_secrets_is_described_and_not_quoted() -> None:
    found = mistakes(with_redis(host="h", port="abc", ssl="maybe", db=-1, username=5))
    assert found == [
        "redis.port: must be a whole number, not text",
        "redis.username: must be a string",
        "redis.ssl: must be true or false, not text",
        "redis.db: must be at least 0",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"shards": 1, "redis": {}, "shards": 2}', "shards: the key repeats: keep one of them"),
        ('{"redis": {"host": "a", "host": "b"}}', "host: the key repeats: keep one of them"),
        ('{"redis": {"redis://:hunter2@h": 1, "redis://:hunter2@h": 1}}', "…: the key repeats"),
    ],
)
def test_a_key_that_repeats_is_refused(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "here.json")
    (found,) = raised.value.mistakes
    assert found.startswith(f"here.json: {line}")


def test_a_key_of_a_definition_that_repeats_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "experiments.json"
    path.write_text('[{"experiment": "e", "variants": [{"name": "a", "name": "b"}]}]')
    with pytest.raises(ConfigError, match=r"name: the key repeats: keep one of them"):
        read_declarations(path)
