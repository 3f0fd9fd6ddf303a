"""Log lines that CloudWatch reads as metrics."""

import json
import time

import pytest

from gimel.backend.log import log_metric


def test_a_figure_is_a_metric_of_the_function(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the specification of CloudWatch's embedded metric format has it."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "shop-track")
    log_metric("redis_percent_full", 83)
    line = json.loads(capsys.readouterr().out)
    stamp = line["_aws"].pop("Timestamp")
    assert abs(stamp / 1000 - time.time()) < 60
    assert line == {
        "level": "warning",
        "redis_percent_full": 83,
        "function": "shop-track",
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": "Gimel",
                    "Dimensions": [["function"]],
                    "Metrics": [{"Name": "redis_percent_full"}],
                }
            ]
        },
    }


def test_elsewhere_it_is_a_line_like_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    log_metric("redis_percent_full", 83)
    assert json.loads(capsys.readouterr().out) == {"level": "warning", "redis_percent_full": 83}
