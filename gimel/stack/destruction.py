"""The destruction of a stack, which ends when AWS shows nothing of it any more."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import BackendClient
from gimel.config.settings import Config
from gimel.stack.apply import apply
from gimel.stack.aws import Aws
from gimel.stack.change import Change
from gimel.stack.cost import min_text
from gimel.stack.lock import exclusive, is_locked
from gimel.stack.observe.observe import observe
from gimel.stack.observed import Observed
from gimel.stack.plan.cache import own_cache, plan_cache_deletion
from gimel.stack.progress import Say, silent
from gimel.stack.teardown import lock_deletion, plan_legacy_teardown, plan_teardown
from gimel.stack.wanted import DeployError, Names

# Seconds until a resource that AWS still shows counts as left. SQS takes up to 60 s:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
_DELETION_TIMEOUT = 75.0
# Lambda takes up to 20 minutes, but a destroy that waits so long looks stuck.
_RELEASE_TIMEOUT = 300.0
# For some seconds after a function has left its VPC, EC2 may show no interfaces:
# https://github.com/go-to-k/cdkd/blob/main/src/provisioning/providers/lambda-function-provider.ts
_RELEASE_DELAY = 10.0
# What to do about leftovers, by whether Lambda still has to release its network interfaces
_ADVICE = {
    False: "run the same command again to continue",
    True: "Lambda may take 20 minutes. Run the same command again then. If another function uses "
    "the same subnets and security groups, the interfaces stay: delete the role in IAM",
}


def plan_destroy(
    config: Config,
    aws: Aws,
    legacy: bool = False,
    warn: Say = silent,
    *,
    data: bool = False,
    snapshot: bool = True,
) -> list[Change]:
    """Plan the deletion of the stack or, with `legacy`, of what gimel 1.x left behind.

    With `data`, the managed Redis is deleted too; with `snapshot`, AWS keeps its counts in a final
    snapshot. `warn` receives a line if the deletion breaks something else, or if something stays
    that costs money. Raises AwsError.
    """
    names = Names(config.stack)
    observed = observe(aws, names)
    changes = _plan_all(names, aws, observed, legacy, data=data, snapshot=snapshot)
    if legacy:
        return changes
    if not data and own_cache(names, observed):
        warn(
            f"cache {names.cache} stays with all counts and costs {min_text()}: "
            "`gimel destroy --data` deletes it"
        )
    if not changes and is_locked(aws, names):
        # A destroy that was killed at its very end left its lock.
        return [lock_deletion(names)]
    if changes and observed.legacy:
        warn(
            f"gimel 1.x's REST API {observed.legacy.api} stays, but its functions are deleted: "
            "pages with its URL lose their events. `gimel destroy --legacy` deletes the API"
        )
    return changes


def _plan_all(
    names: Names, aws: Aws, observed: Observed, legacy: bool, *, data: bool, snapshot: bool
) -> list[Change]:
    changes = _plan_deletions(names, aws, observed, legacy)
    if data and not legacy:
        final = f"{names.cache}-{datetime.now(UTC):%Y%m%d-%H%M%S}" if snapshot else None
        changes += plan_cache_deletion(names, observed, final)
    return changes


def _plan_deletions(
    names: Names, aws: Aws, observed: Observed, legacy: bool, deleted: Collection[str] = ()
) -> list[Change]:
    if legacy:
        return plan_legacy_teardown(observed.legacy)
    return plan_teardown(names, aws.region, observed, deleted)


def destroy(
    config: Config,
    aws: Aws,
    say: Say,
    legacy: bool = False,
    *,
    data: bool = False,
    snapshot: bool = True,
) -> None:
    """Make the deletions of `plan_destroy`, and the ones that only then become possible.

    They are planned again, because another command may have changed the stack since. Return when
    AWS shows nothing of the stack any more. Raises AwsError, and DeployError if something is left;
    call it again to continue.
    """
    names = Names(config.stack)
    with exclusive(aws, names, say) as lock:
        observed = observe(aws, names)
        changes = _plan_all(names, aws, observed, legacy, data=data, snapshot=snapshot)
        _delete(names, aws, changes, say, legacy, lock.confirm)


def _delete(
    names: Names,
    aws: Aws,
    changes: list[Change],
    say: Say,
    legacy: bool,
    confirm: Callable[[], None],
) -> None:
    possible = [change for change in changes if change.calls]
    apply(aws, possible, {}, say, confirm)
    if len(possible) < len(changes):
        time.sleep(_RELEASE_DELAY)
    deleted = {change.what for change in possible}
    since, has_said, pause = time.monotonic(), False, 0.5
    while left := _plan_deletions(names, aws, observe(aws, names), legacy, deleted):
        possible = [change for change in left if change.calls]
        again = [each for each in possible if each.what in deleted]
        apply(aws, again, {}, silent, confirm)
        if new := [each for each in possible if each.what not in deleted]:
            apply(aws, new, {}, say, confirm)
            deleted |= {change.what for change in new}
            since = time.monotonic()
        elif not has_said:
            say(f"waiting: AWS still has {_names_of(left)}")
            has_said = True
        waits_for_lambda = len(possible) < len(left)
        if time.monotonic() - since > (_RELEASE_TIMEOUT if waits_for_lambda else _DELETION_TIMEOUT):
            raise DeployError(f"AWS still has {_names_of(left)}: {_ADVICE[waits_for_lambda]}")
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def _names_of(left: list[Change]) -> str:
    return ", ".join(
        change.what if change.calls else f"{change.what} (deleted {change.why})" for change in left
    )


def delete_all_experiments(client: BackendClient) -> int:
    """Delete every experiment of every namespace. Return how many. Raises BackendError.

    The backend deletes them, since Redis may be unreachable from this machine.
    """
    deleted = 0
    for namespace in {DEFAULT_NAMESPACE, *client.namespaces()}:
        for found in client.experiments(namespace, view="summary"):
            deleted += client.delete(found["experiment"], namespace, forget=True)
    return deleted
