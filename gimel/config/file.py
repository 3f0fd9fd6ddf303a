"""config.json -> typed, validated settings.

The file is the first of: --config, $GIMEL_CONFIG, ./config.json, ~/.gimel/config.json. A mistake in
it is reported with its place, an unknown key with the nearest known one.
"""

import difflib
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gimel.backend.errors import GimelError
from gimel.config.redis import RedisSettings
from gimel.config.settings import AwsSettings, Config, LimitSettings
from gimel.config.stack import Concurrency, Domain, Throttle, Timeouts, Vpc


class ConfigError(GimelError):
    """The configuration is missing or wrong: `mistakes` holds a line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes

    @property
    def lines(self) -> list[str]:
        """The mistakes: a key that one quotes may hold line breaks."""
        return list(self.mistakes)


class Source(NamedTuple):
    """A config file that was read: where it is, and what it says."""

    path: Path
    config: Config


def locate(given: Path | None = None) -> Path:
    """The config file to use: the one given or, of the usual places, the first that exists."""
    named = given or (Path(os.environ["GIMEL_CONFIG"]) if os.environ.get("GIMEL_CONFIG") else None)
    if named:
        return named
    here = Path("config.json").resolve()
    return here if here.exists() else Path.home() / ".gimel" / "config.json"


def load(given: Path | None = None) -> Source:
    """Read and check the config file. Raises ConfigError."""
    path = locate(given)
    try:
        # Some editors of Windows put a byte order mark first.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: `gimel configure` makes one") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 text") from None
    return Source(path, parse(text, str(path)))


def parse(text: str, place: str = "config.json") -> Config:
    """Check the text of a config file. Raises ConfigError with a line for each mistake."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{place}:{error.lineno}:{error.colno}: not JSON here: {error.msg}"
        ) from None
    except (RecursionError, ValueError):
        raise ConfigError(f"{place}: is nested too deep, or holds too long a number") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{place}: must hold one JSON object, {{…}}")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            *(_explain(place, details) for details in error.errors(include_url=False))
        ) from None


# Where pydantic speaks of its own parts.
_MESSAGES = {
    "dict_type": "must be an object, {…}",
    "list_type": "must be a list, […]",
    "missing": "missing",
    "model_type": "must be an object, {…}",
    "too_short": "must not be empty",
}


def _explain(place: str, details: ErrorDetails) -> str:
    """One mistake in one line: file, key, what is wrong with it."""
    # A URL in the place of a key holds a password.
    where = ".".join("…" if re.search("://|@", str(step)) else str(step) for step in details["loc"])
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        message = "unknown key" + _nearest(details["loc"])
    else:
        message = _MESSAGES.get(details["type"], message)
    return f"{place}: {where}: {message}"


def _nearest(loc: tuple[int | str, ...]) -> str:
    sections: dict[str, type[BaseModel]] = {
        "redis": RedisSettings,
        "aws": AwsSettings,
        "timeouts": Timeouts,
        "reserved_concurrency": Concurrency,
        "throttle": Throttle,
        "vpc": Vpc,
        "domain": Domain,
        "limits": LimitSettings,
    }
    model = sections.get(str(loc[0]), Config) if len(loc) > 1 else Config
    close = difflib.get_close_matches(str(loc[-1]), model.model_fields, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def write_template(path: Path, redis_url: str | None = None) -> bool:
    """Write a new config file, readable by its owner only, from the template.

    An existing file is left alone. Returns whether one was written. Raises ConfigError.
    """
    if path.exists():
        return False
    content = json.loads((files("gimel") / "config.json.template").read_text("utf-8"))
    if redis_url is not None:
        content["redis"] = {"url": redis_url}
        parse(json.dumps(content), "--redis-url")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(content, indent=4) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return True
