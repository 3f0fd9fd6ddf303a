"""The comparison of what AWS returns with what is wanted; nothing is left out without a reason."""

from typing import Any

import botocore.session
import pytest

from gimel.stack.plan import api, plan, queue
from gimel.stack.plan.difference import differences
from tests.support.planning import wanted

FAR = "texts that nothing goes by"
SOCKETS = "WebSocket APIs only"


@pytest.mark.parametrize(
    ("wanted", "observed", "different"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {}),
        ({"a": 1}, {"a": 2}, {"a": 1}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 500}, {"a": 500.0}, {}),
        ({"a": 0.5}, {"a": 0.25}, {"a": 0.5}),
        ({"a": True}, {"a": False}, {"a": True}),
        ({"a": True}, {"a": "true"}, {}),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, {}),
        ({"a": {"b": ["x"]}}, {"a": {"b": ["x"], "c": False, "d": {}}}, {}),
        ({"a": {"b": ["x"]}}, {"a": {"b": ["x"], "c": True}}, {"a": {"b": ["x"]}}),
        ({"a": '{"b": 200, "c": "d"}'}, {"a": '{"c":"d","b":"200"}'}, {}),
        ({"a": '{"b": 1}'}, {"a": "{not json"}, {"a": '{"b": 1}'}),
    ],
)
def test_settings(
    wanted: dict[str, Any], observed: dict[str, Any], different: dict[str, Any]
) -> None:
    assert differences(wanted, observed) == different


def test_defaults_may_be_missing_but_not_others() -> None:
    defaults = {"a": 30, "b": "", "c": "off"}
    assert differences({}, {}, defaults) == {}
    assert differences({}, {"a": 30, "b": None, "c": "off"}, defaults) == {}
    assert differences({}, {"a": 31, "b": "x", "c": "on"}, defaults) == defaults
    # What is set goes before what AWS sets by itself.
    assert differences({"c": "on"}, {"c": "on"}, defaults) == {}


# What the comparison leaves out, of all that AWS lets one set, and why.
LEFT_OUT: dict[tuple[str, str], dict[str, str]] = {
    ("apigatewayv2", "UpdateApi"): {
        "ApiId": "the API itself",
        "ApiKeySelectionExpression": SOCKETS,
        "CredentialsArn": "makes a route and an integration, which are compared",
        "Description": FAR,
        "DisableSchemaValidation": SOCKETS,
        "IpAddressType": "how one comes, not who",
        "RouteKey": "makes a route, which is compared",
        "RouteSelectionExpression": "fixed for HTTP APIs",
        "Target": "makes an integration, which is compared",
        "Version": FAR,
    },
    ("apigatewayv2", "UpdateRoute"): {
        "ApiId": "the API itself",
        "ModelSelectionExpression": SOCKETS,
        "OperationName": FAR,
        "RequestModels": SOCKETS,
        "RequestParameters": SOCKETS,
        "RouteId": "the route itself",
        "RouteKey": "a route with another key is another route",
        "RouteResponseSelectionExpression": SOCKETS,
    },
    ("apigatewayv2", "UpdateIntegration"): {
        "ApiId": "the API itself",
        "ContentHandlingStrategy": SOCKETS,
        "Description": FAR,
        "IntegrationId": "the integration itself",
        "PassthroughBehavior": SOCKETS,
        "RequestTemplates": SOCKETS,
        "TemplateSelectionExpression": SOCKETS,
    },
    ("apigatewayv2", "UpdateStage"): {
        "AccessLogSettings": "the owner's own log of who comes",
        "ApiId": "the API itself",
        "ClientCertificateId": SOCKETS,
        "DeploymentId": "automatic deployment chooses it",
        "Description": FAR,
        "StageName": "the stage itself",
    },
    ("lambda", "UpdateAlias"): {
        "Description": FAR,
        "FunctionName": "the function itself",
        "Name": "the alias itself",
        "RevisionId": "a condition, not a setting",
    },
    ("lambda", "UpdateFunctionConfiguration"): {
        "CapacityProviderConfig": "fixed when a function is created",
        "DurableConfig": "fixed when a function is created",
        "FunctionName": "the function itself",
        "ImageConfig": "for container images only",
        "RevisionId": "a condition, not a setting",
    },
    ("lambda", "UpdateEventSourceMapping"): {
        "AmazonManagedKafkaEventSourceConfig": "Kafka only",
        "BisectBatchOnFunctionError": "streams only",
        "DestinationConfig": "streams and Kafka only",
        "DocumentDBEventSourceConfig": "DocumentDB only",
        "KMSKeyArn": "hides a filter, and no filter is wanted",
        "LoggingConfig": "Kafka only",
        "MaximumRecordAgeInSeconds": "streams only",
        "MaximumRetryAttempts": "streams only",
        "MetricsConfig": "the owner's own figures",
        "ParallelizationFactor": "streams only",
        "ProvisionedPollerConfig": "excludes ScalingConfig, which is compared",
        "SelfManagedKafkaEventSourceConfig": "Kafka only",
        "SourceAccessConfigurations": "Kafka and brokers only",
        "TumblingWindowInSeconds": "streams only",
        "UUID": "the mapping itself",
    },
    ("sqs", "SetQueueAttributes"): {
        "All": "a question, not a setting",
        "ApproximateNumberOfMessages": "a figure",
        "ApproximateNumberOfMessagesDelayed": "a figure",
        "ApproximateNumberOfMessagesNotVisible": "a figure",
        "ContentBasedDeduplication": "FIFO queues only",
        "CreatedTimestamp": "a figure",
        "DeduplicationScope": "FIFO queues only",
        "FifoQueue": "fixed when a queue is created",
        "FifoThroughputLimit": "FIFO queues only",
        "KmsDataKeyReusePeriodSeconds": "goes with a key, and no key is wanted",
        "LastModifiedTimestamp": "a figure",
        "QueueArn": "the queue itself",
        "ReceiveMessageWaitTimeSeconds": "how long a reader waits, who says so itself",
    },
}


def compared() -> dict[tuple[str, str], set[str]]:
    stack = wanted()
    (function,) = {frozenset(each) for each in stack.configurations.values()}
    (attributes,) = [each for each in queue.queue_attributes(stack).values() if len(each) > 3]
    settings = {"IntegrationType", "IntegrationUri", "PayloadFormatVersion"}
    mapping = {"BatchSize", "Enabled", "FunctionName", "FunctionResponseTypes", "ScalingConfig"}
    return {
        ("apigatewayv2", "UpdateApi"): {"Name", "CorsConfiguration", *api._API_DEFAULTS},
        ("apigatewayv2", "UpdateRoute"): {"Target", *api._ROUTE_DEFAULTS},
        ("apigatewayv2", "UpdateIntegration"): {*settings, *api._INTEGRATION_DEFAULTS},
        ("apigatewayv2", "UpdateStage"): {
            *("AutoDeploy", "DefaultRouteSettings", "RouteSettings", "StageVariables"),
        },
        ("lambda", "UpdateAlias"): {"FunctionVersion", "RoutingConfig"},
        ("lambda", "UpdateFunctionConfiguration"): {*function, *plan._FUNCTION_DEFAULTS},
        ("lambda", "UpdateEventSourceMapping"): {*mapping, *queue._MAPPING_DEFAULTS},
        ("sqs", "SetQueueAttributes"): {*attributes, *queue._QUEUE_DEFAULTS},
    }


@pytest.mark.parametrize(("service", "operation"), LEFT_OUT)
def test_what_aws_lets_one_set_is_compared_or_left_out_for_a_reason(
    service: str, operation: str
) -> None:
    model = botocore.session.get_session().get_service_model(service)
    known = set(model.operation_model(operation).input_shape.members)
    if service == "sqs":
        known = set(model.shape_for("QueueAttributeName").enum)
    assert known - compared()[service, operation] <= set(LEFT_OUT[service, operation])
