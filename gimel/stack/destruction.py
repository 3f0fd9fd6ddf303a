"""The destruction of a stack, which ends when AWS shows nothing of it any more."""

import time
from collections.abc import Collection

from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import Client
from gimel.config.settings import Config
from gimel.stack.apply import apply
from gimel.stack.aws import Aws
from gimel.stack.change import Change
from gimel.stack.lock import exclusive, is_locked
from gimel.stack.observe.observe import observe
from gimel.stack.progress import Say
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


def _silent(line: str) -> None:
    pass


def plan_destroy(
    config: Config,
    aws: Aws,
    legacy: bool = False,
    warn: Say = _silent,
    deleted: Collection[str] = (),
) -> list[Change]:
    """Plan the deletion of the stack or, with `legacy`, of what gimel 1.x left behind.

    `warn` receives a line if the deletion breaks something else. `deleted` names what this command
    has already deleted. Raises AwsError.
    """
    names = Names(config.stack)
    observed = observe(aws, names)
    if legacy:
        return plan_legacy_teardown(observed.legacy)
    changes = plan_teardown(names, aws.region, observed, deleted)
    if not changes and is_locked(aws, names):
        # A destroy that was killed at its very end left its lock.
        return [lock_deletion(names)]
    if changes and observed.legacy:
        warn(
            f"gimel 1.x's REST API {observed.legacy.api} stays, but its functions are deleted: "
            "pages with its URL lose their events. `gimel destroy --legacy` deletes the API"
        )
    return changes


def destroy(
    config: Config, aws: Aws, changes: list[Change], say: Say, legacy: bool = False
) -> None:
    """Make the deletions of `plan_destroy`, and the ones that only then become possible.

    Return when AWS shows nothing of the stack any more. Raises AwsError, and DeployError if
    something is left; call both again to continue.
    """
    with exclusive(aws, Names(config.stack), say):
        _delete(config, aws, changes, say, legacy)


def _delete(config: Config, aws: Aws, changes: list[Change], say: Say, legacy: bool) -> None:
    apply(aws, changes, {}, say)
    deleted = {change.what for change in changes if change.calls}
    if len(deleted) < len(changes):
        time.sleep(_RELEASE_DELAY)
    since, has_said, pause = time.monotonic(), False, 0.5
    while left := plan_destroy(config, aws, legacy, deleted=deleted):
        new = [change for change in left if change.calls and change.what not in deleted]
        if new:
            apply(aws, new, {}, say)
            deleted |= {change.what for change in new}
            since = time.monotonic()
        elif not has_said:
            say(f"waiting: AWS still has {_titles(left)}")
            has_said = True
        apply(aws, [change for change in left if change not in new], {}, _silent)
        timeout = _DELETION_TIMEOUT if all(each.calls for each in left) else _RELEASE_TIMEOUT
        if time.monotonic() - since > timeout:
            raise _leftovers_error(left)
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def _titles(changes: list[Change]) -> str:
    return ", ".join(change.what for change in changes)


def _leftovers_error(left: list[Change]) -> DeployError:
    role = next((change for change in left if not change.calls), None)
    if role is None:
        return DeployError(f"AWS still has {_titles(left)}: run the same command again to continue")
    return DeployError(
        f"AWS still has {_titles(left)}: {role.what} is deleted {role.why}, which can take 20 "
        "minutes. Run the same command again then. If another function uses the same subnets and "
        "security groups, the interfaces stay: delete the role in IAM"
    )


def delete_all_experiments(client: Client) -> int:
    """Delete every experiment of every namespace. Return how many. Raises BackendError.

    The backend deletes them, since Redis may be unreachable from this machine.
    """
    deleted = 0
    for namespace in {DEFAULT_NAMESPACE, *client.namespaces()}:
        for found in client.experiments(namespace, view="summary"):
            deleted += client.delete(found["experiment"], namespace, forget=True)
    return deleted
