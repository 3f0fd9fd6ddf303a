"""The refusals that AWS lifts by itself: one table, with a reason and a source for each entry.

Most of them follow a creation. IAM, Lambda and SQS are eventually consistent, so for some seconds a
new role, function or queue is unknown to parts of AWS.
"""

import re
from dataclasses import dataclass

_DOCS = "https://docs.aws.amazon.com"
_GITHUB = "https://github.com"
_TERRAFORM = f"{_GITHUB}/hashicorp/terraform-provider-aws/issues"
_CREATE_QUEUE = f"{_DOCS}/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"


@dataclass(frozen=True)
class Refusal:
    """A temporary refusal: the same call succeeds later.

    `pattern` is searched in the error's message in lower case. `reason` says what AWS waits for.
    `source` is the page that reports the refusal. `calls` are the only calls that are repeated, by
    `service:method`, or `lambda:` and a waiter. Without `calls`, every call is repeated.
    """

    codes: tuple[str, ...]
    pattern: str
    reason: str
    source: str
    calls: tuple[str, ...] = ()


_INVALID = ("InvalidParameterValueException",)
_CONFLICT = ("ResourceConflictException",)
_MAPPING = ("lambda:create_event_source_mapping",)
_AFTER_A_FUNCTION = (
    *("lambda:add_permission", "lambda:create_alias", "lambda:create_event_source_mapping"),
    *("lambda:create_function_url_config", "lambda:published_version_active"),
    *("lambda:put_function_concurrency", "lambda:update_alias"),
)
# botocore's own attempts end within 15 s. API Gateway accepts one creation and one deletion of a
# domain name every 30 s.
THROTTLED = Refusal(
    (
        *("EC2ThrottledException", "RequestLimitExceeded", "RequestThrottled"),
        *("Throttling", "ThrottlingException", "TooManyRequestsException"),
    ),
    "",
    "AWS throttles the calls of this account",
    f"{_DOCS}/apigateway/latest/developerguide/limits.html",
)

TEMPORARY = (
    THROTTLED,
    Refusal(
        _INVALID,
        "cannot be assumed by lambda|add lambda as a trusted entity",
        "Lambda does not know the new role yet",
        f"{_TERRAFORM}/14285",
    ),
    Refusal(
        _INVALID,
        "not have permissions to call",
        "the new role's permissions are not in force yet",
        f"{_TERRAFORM}/8248",
    ),
    Refusal(
        _INVALID,
        "kms key is invalid for creategrant.*valid principal",
        "KMS does not know the new role yet",
        f"{_TERRAFORM}/4633",
    ),
    Refusal(_INVALID, "throttled by ec2", "EC2 throttles Lambda in the VPC", f"{_TERRAFORM}/2942"),
    Refusal(
        _INVALID,
        "function does not exist",
        "Lambda does not list the new function yet",
        f"{_TERRAFORM}/22373",
        _MAPPING,
    ),
    Refusal(
        ("ResourceNotFoundException",),
        "function not found|alias",
        "Lambda does not list the new function yet",
        f"{_TERRAFORM}/7214",
        _AFTER_A_FUNCTION,
    ),
    Refusal(
        _INVALID,
        "nonexistentqueue|queue does not exist",
        "SQS does not list the new queue yet",
        f"{_GITHUB}/localstack/localstack/pull/12297",
        _MAPPING,
    ),
    Refusal(
        ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"),
        "",
        "SQS does not list the new queue yet",
        _CREATE_QUEUE,
        ("sqs:set_queue_attributes", "sqs:tag_queue"),
    ),
    Refusal(
        ("InvalidParameterValue", "InvalidAttributeValue"),
        "dead letter target does not exist",
        "SQS does not list the new queue of dead letters yet",
        f"{_GITHUB}/serverless/serverless/issues/5215",
    ),
    Refusal(
        ("AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"),
        "",
        "SQS keeps the name of a deleted queue for 60 s",
        _CREATE_QUEUE,
    ),
    Refusal(
        _CONFLICT,
        "cannot be performed at this time|concurrent update operation",
        "Lambda is still carrying out another change",
        f"{_TERRAFORM}/5154",
    ),
    Refusal(
        _CONFLICT,
        "event source mapping.* already exists",
        "Lambda is still deleting the previous mapping of the queue",
        f"{_GITHUB}/tmobile/jazz/pull/74",
        _MAPPING,
    ),
    Refusal(
        ("ResourceInUseException",),
        "event source mapping",
        "Lambda is still changing the mapping of the queue",
        f"{_GITHUB}/aws/chalice/pull/886",
    ),
    Refusal(
        ("ResourceNotFoundException",),
        "rule .* does not exist",
        "EventBridge does not list the new rule yet",
        f"{_GITHUB}/cloud-custodian/cloud-custodian/issues/5553",
        ("events:put_targets",),
    ),
    Refusal(
        ("ValidationException",),
        "rule can't be deleted since it has targets",
        "EventBridge still lists the deleted targets of the rule",
        f"{_TERRAFORM}/1479",
        ("events:delete_rule",),
    ),
    Refusal(
        ("ConcurrentModificationException",),
        "",
        "EventBridge is still carrying out another change",
        f"{_DOCS}/eventbridge/latest/APIReference/API_PutRule.html",
    ),
    Refusal(
        ("NotFound", "NotFoundException"),
        "topic does not exist",
        "SNS does not list the new topic yet",
        f"{_GITHUB}/ansible/ansible/pull/67089",
        ("sns:set_topic_attributes", "sns:subscribe"),
    ),
    Refusal(
        ("NoSuchEntity",),
        "role with name .* cannot be found",
        "IAM does not list the new role yet",
        f"{_DOCS}/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency",
        ("iam:put_role_policy",),
    ),
    Refusal(
        ("MalformedPolicyDocument",),
        "invalid principal in policy",
        "IAM does not list a new principal yet",
        f"{_TERRAFORM}/12436",
    ),
    Refusal(
        ("DeleteConflict",),
        "must (delete policies|detach all policies) first",
        "IAM still lists the deleted policies of the role",
        f"{_GITHUB}/hashicorp/terraform/pull/14707",
    ),
    Refusal(
        ("ConcurrentModification",),
        "",
        "IAM is still carrying out another change",
        f"{_DOCS}/IAM/latest/APIReference/API_DeleteRole.html",
    ),
    Refusal(
        ("ConflictException",),
        "concurrent modification",
        "API Gateway is still carrying out another change",
        f"{_TERRAFORM}/18018",
    ),
    Refusal(
        ("OperationAbortedException",),
        "",
        "CloudWatch Logs is still carrying out another change",
        f"{_DOCS}/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html",
    ),
    Refusal(
        ("TooManyUpdates",),
        "",
        "the Parameter Store is still carrying out another change",
        f"{_DOCS}/systems-manager/latest/APIReference/API_PutParameter.html",
    ),
    Refusal(
        ("InvalidServerlessCacheStateFault",),
        "",
        "ElastiCache is still carrying out another change",
        f"{_DOCS}/AmazonElastiCache/latest/APIReference/API_ModifyServerlessCache.html",
    ),
    Refusal(
        ("ServiceLinkedRoleNotFoundFault",),
        "",
        "ElastiCache is still creating its service-linked role",
        f"{_DOCS}/AmazonElastiCache/latest/APIReference/API_CreateServerlessCache.html",
    ),
)


def find_refusal(call: str, code: str, message: str) -> Refusal | None:
    """Return the entry for an error of a call, or None if the error is final."""
    for entry in TEMPORARY:
        is_covered = code in entry.codes and (call in entry.calls or not entry.calls)
        if is_covered and re.search(entry.pattern, message.lower()):
            return entry
    return None
