"""The observation of the EventBridge rule that calls for snapshots, and of its targets."""

from gimel.stack.aws import Aws
from gimel.stack.observe.tags import tags_of
from gimel.stack.observed import ObservedRule
from gimel.stack.wanted import Names


def observe_rule(aws: Aws, names: Names) -> ObservedRule | None:
    """Return the rule with its targets, if it exists. Raises AwsError."""
    found = aws.find("events", "describe_rule", "@", Name=names.rule)
    if found is None:
        return None
    # The rule may be deleted between two calls.
    targets = aws.find("events", "list_targets_by_rule", "Targets || `[]`", Rule=names.rule)
    arn = found["Arn"]
    tags = aws.find("events", "list_tags_for_resource", "Tags || `[]`", ResourceARN=arn)
    by_id = {target["Id"]: target for target in targets or []}
    return ObservedRule(arn, tags_of(tags), found, by_id)
