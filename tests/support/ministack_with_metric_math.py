"""ministack, with what it forgets of an alarm: the metrics and the expression that it watches.

Run this file in place of `python -m ministack`.
"""

from typing import Any

from ministack.app import main
from ministack.services import cloudwatch

_put = cloudwatch._put_metric_alarm


def _put_metric_alarm(params: Any, body: dict[str, Any], *protocol: Any, **names: Any) -> Any:
    answer = _put(params, body, *protocol, **names)
    if alarm := cloudwatch._alarms.get(body.get("AlarmName")):
        alarm["Metrics"] = body.get("Metrics", [])
    return answer


cloudwatch._put_metric_alarm = _put_metric_alarm

if __name__ == "__main__":
    main()
