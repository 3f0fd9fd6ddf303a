"""The sections of config.json that describe a deployed stack, and what all sections share."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from gimel.gimel import ROUTES

Runtime = Literal["python3.11", "python3.12", "python3.13", "python3.14"]
Architecture = Literal["arm64", "x86_64"]

ARN = r"arn:aws[a-z-]*:"


def matching(pattern: str, example: str) -> AfterValidator:
    """Return a validator of texts that match the whole pattern; its error shows the example."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must look like {example}")
        return text

    return AfterValidator(check)


class Section(BaseModel):
    """A section of config.json. It refuses unknown keys, and no error quotes one of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Timeouts(Section):
    """Seconds that each function may run. API Gateway gives up after 30."""

    track: int = Field(5, ge=1, le=29)
    reads: int = Field(29, ge=1, le=29)
    delete: int = Field(29, ge=1, le=29)


class Concurrency(Section):
    """How many executions of each function may run at once. Null reserves and limits nothing.

    Each execution keeps a connection to Redis. A small Redis accepts 30.
    """

    track: int | None = Field(20, ge=1, le=1000)
    reads: int | None = Field(5, ge=1, le=1000)
    delete: int | None = Field(2, ge=1, le=1000)


class Throttle(Section):
    """The requests that the API accepts per second, and at once. It answers others with 429."""

    rate: float = Field(500, gt=0, le=1_000_000)
    burst: int = Field(1000, ge=1, le=500_000)


KmsKey = Annotated[
    str,
    matching(
        ARN + r"kms:[a-z0-9-]+:\d{12}:key/[\w-]+",
        "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
]
Subnet = Annotated[str, matching(r"subnet-[0-9a-f]+", "subnet-0123456789abcdef0")]
SecurityGroup = Annotated[str, matching(r"sg-[0-9a-f]+", "sg-0123456789abcdef0")]


class Vpc(Section):
    """The network in which the functions run, to reach a Redis without a public address."""

    subnets: list[Subnet] = Field(min_length=1)
    security_groups: list[SecurityGroup] = Field(min_length=1)


class Domain(Section):
    """A custom domain name for the API, and its certificate in ACM, in the same region."""

    name: Annotated[
        str, matching(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", "ab.shop.example")
    ]
    certificate: Annotated[
        str,
        matching(
            ARN + r"acm:[a-z0-9-]+:\d{12}:certificate/\S+",
            "arn:aws:acm:eu-west-1:123456789012:certificate/…",
        ),
    ]


_ADDRESS = r"https://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:\d{1,5})?(/[!-~]{0,1000})?"


def _check_webhook(url: SecretStr) -> SecretStr:
    """Return the URL of a webhook. Raises ValueError, whose message quotes nothing of it."""
    address = url.get_secret_value()
    # What follows a # is not sent. Before the path, an @ would begin another host.
    if not re.fullmatch(_ADDRESS, address) or "#" in address:
        raise ValueError("must look like https://hooks.slack.com/services/…, without # or spaces")
    return url


class Webhook(Section):
    """The webhook for news about experiments: see `gimel.backend.news`. The URL is a secret."""

    webhook: Annotated[SecretStr, AfterValidator(_check_webhook)]
    form: Literal["generic", "slack"] = "generic"


def refuse_taken_path(path: str) -> str:
    """Return the path. Raises ValueError if Gimel has a route with it."""
    if any(route.endswith(f" /{path}") for route in ROUTES):
        raise ValueError("is a path that Gimel already uses")
    return path


def _check_event_path(path: str) -> str:
    return path if path == "e" else refuse_taken_path(path)


def _check_tags(tags: dict[str, str]) -> dict[str, str]:
    for name, value in tags.items():
        if name.startswith(("aws:", "gimel:")):
            raise ValueError(f'"{name}": names that start with aws: or gimel: are reserved')
        if not re.fullmatch(r"[\w.:/=+\-@ ]{1,128}", name) or not re.fullmatch(
            r"[\w.:/=+\-@ ]{0,256}", value
        ):
            raise ValueError(
                f'"{name}": tags may contain only letters, digits, spaces and . : / = + - @ _'
            )
    return tags


def _check_stack(name: str) -> str:
    """Return the name. Raises ValueError if the Parameter Store refuses `/<name>/read-key`.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html says so of
    names, and https://github.com/aws-cloudformation/cfn-lint/issues/4089 of the paths `/aws*`.
    """
    if name.startswith(("aws", "ssm")):
        raise ValueError("must not start with aws or ssm: the Parameter Store reserves both")
    return name


StackName = Annotated[
    str,
    matching(r"[a-z][a-z0-9-]{0,31}", "shop-2: 1 to 32 lowercase letters, digits and -"),
    AfterValidator(_check_stack),
]
Email = Annotated[
    str, matching(r"[!-?A-~]{1,64}@([A-Za-z0-9-]+\.)+[A-Za-z]{2,63}", "ana@shop.example")
]
PathPart = Annotated[
    str, matching(r"[A-Za-z0-9._-]{1,64}", "moments: 1 to 64 letters, digits, . _ -")
]
EventPath = Annotated[PathPart, AfterValidator(_check_event_path)]
# Browsers write scheme and host in lower case, and compare the answer letter by letter:
# https://fetch.spec.whatwg.org/#cors-check
Origin = Annotated[
    str,
    AfterValidator(str.lower),
    matching(r"\*|https?://[a-z0-9.-]+(:\d{1,5})?", "https://shop.example, or *"),
]
StackTags = Annotated[dict[str, str], Field(max_length=40), AfterValidator(_check_tags)]
PolicyArn = Annotated[
    str, matching(ARN + r"iam::(\d{12}|aws):policy/\S+", "arn:aws:iam::123456789012:policy/limits")
]
