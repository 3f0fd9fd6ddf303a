"""The observation of the keys of a stack, which are parameters of the Parameter Store."""

from dataclasses import replace

from gimel.stack.aws import Aws
from gimel.stack.keys import NAME_TAG, Key, key_in
from gimel.stack.observe.tags import tags_of
from gimel.stack.observed import ObservedParameter
from gimel.stack.wanted import TAG, Names


def observe_parameter(aws: Aws, names: Names) -> ObservedParameter | None:
    """Return the main key and its tags from the Parameter Store, if it exists."""
    name = names.parameter
    key = aws.find("ssm", "get_parameter", "Parameter.Value", Name=name, WithDecryption=True)
    return None if key is None else ObservedParameter(_parameter_tags(aws, name), key)


def observe_keys(aws: Aws, names: Names) -> tuple[Key, ...]:
    """Return the keys besides the main key, by scope and id.

    A parameter without the stack's tag is not a key of the stack, so its value opens nothing.
    """
    found = aws.pages(
        "ssm",
        "get_parameters_by_path",
        "Parameters[].[Name, Value]",
        Path=names.keys,
        Recursive=True,
        WithDecryption=True,
    )
    keys = []
    for parameter, value in sorted(found):
        if key := key_in(names.keys, parameter, value):
            tags = _parameter_tags(aws, parameter)
            if tags.get(TAG) == names.stack:
                keys.append(replace(key, name=tags.get(NAME_TAG, "")))
    return tuple(keys)


def _parameter_tags(aws: Aws, name: str) -> dict[str, str]:
    tags = aws.call(
        "ssm", "list_tags_for_resource", "TagList", ResourceType="Parameter", ResourceId=name
    )
    return tags_of(tags)
