"""The keys of config.json, as the settings have them."""

import types
import typing
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def parts(annotation: Any) -> list[Any]:
    """Return an annotation without Annotated, in the parts of its union."""
    if get_origin(annotation) is typing.Annotated:
        return parts(get_args(annotation)[0])
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return [part for each in get_args(annotation) for part in parts(each)]
    return [annotation]


def keys_of(model: type[BaseModel], above: str = "") -> dict[str, FieldInfo]:
    """Return each key of a section and of the sections in it. A section by itself is none."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        path = f"{above}{name}"
        (inner,) = [
            each
            for each in parts(field.annotation)
            if isinstance(each, type) and issubclass(each, BaseModel)
        ] or [None]
        if inner is None:
            found[path] = field
        else:
            found |= keys_of(inner, f"{path}.")
    return found
