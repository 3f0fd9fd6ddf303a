"""The observation of the tracking function's URL."""

from gimel.stack.aws import Aws
from gimel.stack.observed import ObservedFunctionUrl
from gimel.stack.wanted import ALIAS, TRACK, Names

_SETTINGS = "{AuthType: AuthType, Cors: Cors, InvokeMode: InvokeMode}"


def observe_function_url(aws: Aws, names: Names) -> ObservedFunctionUrl | None:
    """Return the URL of the tracking function's alias, if it exists.

    A region without function URLs has none.
    """
    target = {"FunctionName": names.function(TRACK), "Qualifier": ALIAS}
    query = f"[FunctionUrl, {_SETTINGS}]"
    found = aws.find("lambda", "get_function_url_config", query, **target)
    return ObservedFunctionUrl(*found) if found else None
