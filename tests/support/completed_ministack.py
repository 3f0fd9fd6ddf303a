"""ministack, with what it leaves out. Run this file in place of `python -m ministack`.

It forgets the metrics and the expression that an alarm watches, and passes no stage variables to a
function: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from typing import Any

from ministack.app import main
from ministack.services import apigateway, cloudwatch, lambda_svc

_put = cloudwatch._put_metric_alarm


def _put_metric_alarm(params: Any, body: dict[str, Any], *protocol: Any, **names: Any) -> Any:
    answer = _put(params, body, *protocol, **names)
    if alarm := cloudwatch._alarms.get(body.get("AlarmName")):
        alarm["Metrics"] = body.get("Metrics", [])
    return answer


_execute = lambda_svc._execute_function_with_config_scope


def _execute_function(function: Any, event: Any, *rest: Any) -> Any:
    context = event.get("requestContext", {}) if isinstance(event, dict) else {}
    if context.get("routeKey", "$default") != "$default":
        variables = apigateway._get_stage_variables(context["apiId"], context["stage"])
        event |= {"stageVariables": variables} if variables else {}
    return _execute(function, event, *rest)


cloudwatch._put_metric_alarm = _put_metric_alarm
lambda_svc._execute_function_with_config_scope = _execute_function

if __name__ == "__main__":
    main()
