"""The part of config.json that says what a deployed stack is like; each setting has a default."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gimel.gimel import ROUTES

Runtime = Literal["python3.11", "python3.12", "python3.13", "python3.14"]
Architecture = Literal["arm64", "x86_64"]

_ARN = r"arn:aws[a-z-]*:"


def like(pattern: str, example: str) -> AfterValidator:
    """A text that the whole pattern matches; the complaint shows how one looks that does."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must look like {example}")
        return text

    return AfterValidator(check)


class Strict(BaseModel):
    """Settings that know all their keys, and never quote a value in a complaint."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Timeouts(Strict):
    """Seconds a function may take. API Gateway waits for 30, then gives up."""

    track: int = Field(5, ge=1, le=29)
    reads: int = Field(29, ge=1, le=29)
    delete: int = Field(29, ge=1, le=29)


class Concurrency(Strict):
    """How many of a function may run at once; null reserves none, and limits none.

    Each one that runs keeps a connection. A small Redis takes 30.
    """

    track: int | None = Field(20, ge=1, le=1000)
    reads: int | None = Field(5, ge=1, le=1000)
    delete: int | None = Field(2, ge=1, le=1000)


class Throttle(Strict):
    """What the API lets through: requests a second, and at once. Over it, 429."""

    rate: float = Field(500, gt=0, le=1_000_000)
    burst: int = Field(1000, ge=1, le=500_000)


Subnet = Annotated[str, like(r"subnet-[0-9a-f]+", "subnet-0123456789abcdef0")]
SecurityGroup = Annotated[str, like(r"sg-[0-9a-f]+", "sg-0123456789abcdef0")]


class Vpc(Strict):
    """Where functions run that reach a Redis without a public address."""

    subnets: list[Subnet] = Field(min_length=1)
    security_groups: list[SecurityGroup] = Field(min_length=1)


class Domain(Strict):
    """A name of one's own for the API, and its certificate in ACM, of the same region."""

    name: Annotated[
        str, like(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", "ab.shop.example")
    ]
    certificate: Annotated[
        str,
        like(
            _ARN + r"acm:[a-z0-9-]+:\d{12}:certificate/\S+",
            "arn:aws:acm:eu-west-1:123456789012:certificate/…",
        ),
    ]


def _free_path(path: str) -> str:
    if path != "e" and any(route.endswith(f" /{path}") for route in ROUTES):
        raise ValueError("is a path that Gimel has already")
    return path


def _own_tags(tags: dict[str, str]) -> dict[str, str]:
    for name, value in tags.items():
        if name.startswith(("aws:", "gimel:")):
            raise ValueError(f'"{name}": names that start with aws: or gimel: are taken')
        if not re.fullmatch(r"[\w.:/=+\-@ ]{1,128}", name) or not re.fullmatch(
            r"[\w.:/=+\-@ ]{0,256}", value
        ):
            raise ValueError(f'"{name}": tags are letters, digits, space and . : / = + - @ _')
    return tags


PathPart = Annotated[str, like(r"[A-Za-z0-9._-]{1,64}", "moments: 1 to 64 letters, digits, . _ -")]
EventPath = Annotated[PathPart, AfterValidator(_free_path)]
Origin = Annotated[
    str, like(r"\*|https?://[A-Za-z0-9.-]+(:\d{1,5})?", "https://shop.example, or *")
]
StackTags = Annotated[dict[str, str], Field(max_length=40), AfterValidator(_own_tags)]
PolicyArn = Annotated[
    str, like(_ARN + r"iam::(\d{12}|aws):policy/\S+", "arn:aws:iam::123456789012:policy/limits")
]
