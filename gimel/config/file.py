"""The file config.json: where it is, how it is read, and what is wrong with it.

The file is the first of: --config, $GIMEL_CONFIG, ./config.json, ~/.gimel/config.json. Each mistake
is reported with the file and the key, and for an unknown key with the nearest known one.
"""

import difflib
import json
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gimel.backend.errors import GimelError
from gimel.config.redis import ManagedRedis, RedisSettings
from gimel.config.settings import AwsSettings, Config, LimitSettings
from gimel.config.stack import Concurrency, Domain, Throttle, Timeouts, Vpc, Webhook


class ConfigError(GimelError):
    """A configuration that is missing or wrong. `mistakes` holds one line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes

    @property
    def lines(self) -> list[str]:
        """The mistakes, unsplit: a key that a mistake quotes may contain line breaks."""
        return list(self.mistakes)


class ConfigFile(NamedTuple):
    """A config file that was read: its path, and the settings in it."""

    path: Path
    config: Config


def home() -> Path:
    """Return the user's home folder. Raises ConfigError: the user of a container may have none."""
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigError("this user has no home folder: set HOME") from None


def locate(chosen: Path | None = None) -> Path:
    """Return the path of the config file: the chosen one, or the first default that exists.

    Raises ConfigError.
    """
    if chosen:
        return chosen
    if from_environment := os.environ.get("GIMEL_CONFIG"):
        return Path(from_environment)
    here = Path("config.json").resolve()
    return here if here.exists() else home() / ".gimel" / "config.json"


def load(chosen: Path | None = None, otherwise: str = "") -> ConfigFile:
    """Read and check the config file. Raises ConfigError.

    `otherwise`: what else the user can do if the file is missing.
    """
    path = locate(chosen)
    text = read_text(path, f": create it with `gimel configure`{otherwise}")
    return ConfigFile(path, parse(text, str(path)))


def read_text(path: Path, if_missing: str = "") -> str:
    """Return the text of a file. Raises ConfigError, with the advice if the file is missing."""
    try:
        # Some Windows editors write a byte order mark first.
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist{if_missing}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 text") from None


def parse(text: str, source: str = "config.json") -> Config:
    """Check the text of a config file. Raises ConfigError with one line for each mistake.

    Each line starts with `source`.
    """
    content = parse_json(text, source)
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: must contain one JSON object, {{…}}")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            *(_explain(source, details) for details in error.errors(include_url=False))
        ) from None
    except UnicodeEncodeError:
        # Pydantic cannot take a key with half of a surrogate pair.
        raise ConfigError(f"{source}: a key contains an incomplete character") from None


def parse_json(text: str, source: str) -> object:
    """Return the JSON in the text of a file. Raises ConfigError, also for a key that repeats."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                raise ConfigError(f"{source}: {_shown(key)}: the key repeats: keep one of them")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{source}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}"
        ) from None
    except (RecursionError, ValueError):
        raise ConfigError(f"{source}: is nested too deeply or contains too long a number") from None


# Our words for each type of error that pydantic reports. The fields are pydantic's.
_MESSAGES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be an object, {{…}}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number with fewer digits",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le:.15g}",
    "list_type": "must be a list, […]",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": "must be an object, {{…}}",
    "string_type": "must be a string",
    "string_unicode": "contains an incomplete character",
    "too_long": "must have at most {max_length} items",
    "too_short": "must not be empty",
    # Raised by the checks in this package.
    "value_error": "{error}",
}
# Errors whose message says all, or whose value may be of any length
_UNQUOTED = ("missing", "string_unicode", "too_long", "too_short", "value_error")
# The sections with secrets. A value may be in the wrong line.
_SECRETIVE = ("redis", "notify")
# Characters of a value that a message quotes
_LONGEST = 40


def _explain(source: str, details: ErrorDetails) -> str:
    """Return one line on a mistake: the source, the key, and what is wrong with its value."""
    location = details["loc"]
    key = ".".join(map(_shown, location))
    if details["type"] == "extra_forbidden":
        return f"{source}: {key}: unknown key{_suggest(location)}"
    context: Mapping[str, Any] = details.get("ctx", {})
    message = _MESSAGES.get(details["type"], "is not a valid value").format(**context)
    return f"{source}: {key}: {message}{_but_is(details)}"


def _shown(step: int | str) -> str:
    """Return a part of a key's path. A URL that was written there holds a password."""
    return "…" if re.search("://|@", str(step)) else str(step)


def _but_is(details: ErrorDetails) -> str:
    """Return the end of a line on a mistake: what the value is, unless that may be a secret."""
    value, kind = details["input"], details["type"]
    if kind in _UNQUOTED:
        return ""
    if isinstance(value, dict | list):
        return f", not {'an object' if isinstance(value, dict) else 'a list'}"
    text = json.dumps(value, ensure_ascii=False)
    if details["loc"][0] in _SECRETIVE or _shown(text) != text:
        return ", not text" if isinstance(value, str) and kind != "literal_error" else ""
    return f", not {text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'}"


def _suggest(location: tuple[int | str, ...]) -> str:
    sections: dict[str, type[BaseModel]] = {
        "redis": RedisSettings,
        "managed": ManagedRedis,
        "aws": AwsSettings,
        "timeouts": Timeouts,
        "reserved_concurrency": Concurrency,
        "throttle": Throttle,
        "vpc": Vpc,
        "domain": Domain,
        "limits": LimitSettings,
        "notify": Webhook,
    }
    model = sections.get(str(location[-2]), Config) if len(location) > 1 else Config
    nearest = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f'; did you mean "{nearest[0]}"?' if nearest else ""


def write_template(path: Path, settings: Mapping[str, object]) -> None:
    """Write a new config file, readable only by its owner: the template with these settings.

    Raises ConfigError, also if the file exists.
    """
    template = json.loads((files("gimel") / "config.json.template").read_text("utf-8"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps({**template, **settings}, indent=4) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
