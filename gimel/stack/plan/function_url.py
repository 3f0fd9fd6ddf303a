"""The plan of the tracking function's URL, through which events come if config.json says so.

`gimel.stack.plan.permission` plans who may call it.
"""

from collections.abc import Iterator
from typing import Any

from gimel.stack.change import Call, Change, Template, saved_value
from gimel.stack.observed import Observed
from gimel.stack.plan.difference import differences
from gimel.stack.wanted import ALIAS, TRACK, Names, Wanted


def function_url_settings(wanted: Wanted) -> dict[str, Any]:
    """Return the settings of the function URL: anyone may call it, and CORS is that of the API.

    Lambda answers OPTIONS itself, and accepts no method here that has more than six letters:
    https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html
    """
    methods = [method for method in wanted.cors["AllowMethods"] if method != "OPTIONS"]
    cors = {**wanted.cors, "AllowMethods": methods}
    return {"AuthType": "NONE", "Cors": cors, "InvokeMode": "BUFFERED"}


def plan_function_url(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the URL of the tracking function's alias, or its deletion."""
    names, found = wanted.names, observed.function_url
    if not wanted.has_function_url:
        if found:
            yield function_url_deletion(names, "events come through the HTTP API")
        return
    target, settings = _target(names), function_url_settings(wanted)
    if found is None:
        function = observed.functions.get(names.function(TRACK))
        # AWS shows no URL for a deleted alias, but the URL may return with the alias.
        stale = [_deletion(names)] if function and function.live is None else []
        saves = {"function_url": "FunctionUrl"}
        call = Call("lambda", "create_function_url_config", {**target, **settings}, saves)
        yield Change("create", _name(names), "events come through it", (*stale, call))
    elif changed := differences(settings, found.settings):
        before = {**target, **{name: found.settings[name] for name in changed}}
        arguments = {**target, **changed}
        call = Call("lambda", "update_function_url_config", arguments, before=before)
        yield Change("update", _name(names), ", ".join(changed), (call,))


def function_url_notes(wanted: Wanted, observed: Observed) -> Iterator[str]:
    """Yield a note if the deploy deletes the function URL, which has a random name."""
    if observed.function_url and not wanted.has_function_url:
        yield (
            f"{observed.function_url.url} is deleted, and AWS never assigns this URL again: pages "
            'that still use it lose their events. To keep it: "events": "function-url"'
        )


def events_url(wanted: Wanted, observed: Observed) -> str:
    """Return where pages send events: relative to the API, or through the function URL."""
    if not wanted.has_function_url:
        return wanted.event_path
    known = observed.function_url
    return Template((known.url if known else saved_value("function_url")) + wanted.event_path)


def function_url_deletion(names: Names, why: str) -> Change:
    """Return the deletion of the function URL."""
    return Change("delete", _name(names), why, (_deletion(names),))


def _deletion(names: Names) -> Call:
    return Call("lambda", "delete_function_url_config", _target(names), if_exists=True)


def _target(names: Names) -> dict[str, str]:
    return {"FunctionName": names.function(TRACK), "Qualifier": ALIAS}


def _name(names: Names) -> str:
    return f"URL of function {names.function(TRACK)}"
