"""The order of the checks of `gimel preflight`, and the checks of the config file and of AWS."""

import contextlib
from collections.abc import Callable, Generator, Iterator
from functools import partial

from gimel.config.file import ConfigError, ConfigFile
from gimel.config.settings import Config, in_other_region
from gimel.stack.aws import Aws, AwsError
from gimel.stack.deployed import deployed_redis_url, inspect_redis, own_redis_environment
from gimel.stack.preflight.cache import check_cache
from gimel.stack.preflight.check import Check
from gimel.stack.preflight.function_url import check_function_url
from gimel.stack.preflight.permissions import check_permissions
from gimel.stack.preflight.redis import RedisReport, check_connections, check_redis
from gimel.stack.wanted import Names


def run(source: ConfigFile, connect: Callable[[], Aws]) -> Iterator[Check]:
    """Make all checks. Yield each result as soon as it is known.

    `connect` may raise AwsError. A command that goes on to use AWS keeps the connection that it
    returns: each further one might ask for an MFA code.
    """
    settings = source.config
    yield _check_file(source)
    aws = yield from check_aws(settings, connect)
    report = yield from _check_redis(settings, aws)
    if report and not report.get("trouble"):
        yield check_connections(settings.reserved_concurrency, _concurrency_limit(aws), report)
    yield _check_alarms(settings)


def _check_redis(settings: Config, aws: Aws | None) -> Generator[Check, None, RedisReport | None]:
    """Check Redis. Return its report, or None if there is none, or no managed Redis yet."""
    environment = None
    if settings.redis.managed is None:
        environment = own_redis_environment(settings, aws) if aws else settings.redis.environment
    elif aws is not None:
        environment = yield from check_cache(settings, settings.redis.managed, aws)
    if environment is None:
        return None
    ask = partial(_ask_functions, settings, aws, environment["GIMEL_REDIS_URL"])
    return (yield from check_redis(environment, ask))


def config_mistakes(error: ConfigError) -> Iterator[Check]:
    """Yield a failed check for each mistake of a configuration that cannot be loaded."""
    for mistake in error.mistakes:
        yield Check("Config", "failed", mistake)


def _check_file(source: ConfigFile) -> Check:
    """Check that only its owner can read the config file, which may hold a password."""
    if source.path.stat().st_mode & 0o077:
        found = f"other users of this machine can read the password in it: chmod 600 {source.path}"
        return Check("Config", "warning", found)
    return Check("Config", "ok", str(source.path))


def _check_alarms(settings: Config) -> Check:
    """Recommend alarms. It is no warning to have none."""
    if settings.alarm_email:
        return Check("Alarms", "ok", f"go to {settings.alarm_email}")
    return Check(
        "Alarms",
        "ok",
        'off. With "alarm_email" in config.json, AWS mails you when events wait or are lost '
        "(about $2 a month)",
    )


def check_aws(settings: Config, connect: Callable[[], Aws]) -> Generator[Check, None, Aws | None]:
    """Check the credentials and the caller's permissions. Return the connection to AWS, if any."""
    try:
        aws = connect()
        caller = aws.call("sts", "get_caller_identity", "Arn")
    except AwsError as error:
        yield Check("AWS", "failed", str(error))
        return None
    account = caller.split(":")[4]
    yield Check("AWS", "ok", f"account {account}, region {aws.region}, as {caller}")
    yield from check_permissions(settings, aws, caller)
    yield from _check_regions(settings, aws)
    yield from check_function_url(settings, aws)
    return aws


def _check_regions(settings: Config, aws: Aws) -> Iterator[Check]:
    """Check the regions of the certificate and the key, since config.json need not name one."""
    for name, arn in settings.regional_arns.items():
        if mistake := in_other_region(arn, aws.region):
            yield Check("AWS", "failed", f"{name} {mistake}")


def _ask_functions(settings: Config, aws: Aws | None, url: str) -> RedisReport | None:
    """Return how the deployed functions see the Redis at this URL, or None if they cannot tell.

    In a VPC, Redis is expected to be unreachable from this machine, and a firewall here may hide a
    managed Redis. Before the first deploy there are no functions to ask: the trouble is "unseen".
    """
    if aws is not None:
        names = Names(settings.stack)
        with contextlib.suppress(AwsError):
            if deployed_redis_url(aws, names) == url:
                return inspect_redis(aws, names)
    return {"trouble": "unseen"} if settings.vpc or settings.redis.managed else None


def _concurrency_limit(aws: Aws | None) -> int | None:
    """Return how many functions may run at once in the account and region, or None if unknown."""
    query = "AccountLimit.ConcurrentExecutions"
    if aws is not None:
        with contextlib.suppress(AwsError):
            return int(aws.call("lambda", "get_account_settings", query))
    return None
