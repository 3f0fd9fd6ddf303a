"""The check that the region has function URLs, if config.json asks for one."""

from collections.abc import Iterator

from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError, NotFoundError, NotOfferedError
from gimel.stack.preflight.check import Check
from gimel.stack.wanted import TRACK, Names


def check_function_url(settings: Config, aws: Aws) -> Iterator[Check]:
    """Ask AWS for the tracking function's URL: a list of regions here would become outdated.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
    """
    if settings.events == "api":
        return
    name = Names(settings.stack).function(TRACK)
    try:
        aws.call("lambda", "get_function_url_config", FunctionName=name)
    except NotOfferedError:
        cure = 'set "events": "api", or choose another region'
        yield Check("Events", "failed", f"region {aws.region} has no function URLs: {cure}")
        return
    except NotFoundError:
        pass
    except AwsError:
        # The check of the permissions says which one is missing.
        return
    yield Check("Events", "ok", f"region {aws.region} has function URLs")
