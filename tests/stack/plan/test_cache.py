"""The plan for the managed Redis, a cache of ElastiCache Serverless."""

from dataclasses import replace
from typing import Any

import pytest

from gimel.config.redis import ManagedRedis
from gimel.stack.observed import Observed
from gimel.stack.plan.cache import cache_settings, creates_cache, plan_cache_deletion
from gimel.stack.plan.plan import notes, plan
from gimel.stack.wanted import DeployError, Names, Wanted
from tests.support.planning import ADDRESS, NOTHING, cache, done, function, lines, wanted


def managed(address: str | None = ADDRESS, **limits: int) -> Wanted:
    return wanted(address=address, redis={"managed": limits})


def seen(status: str = "available", **changed: Any) -> Observed:
    """All as wanted, but the cache in this state, and with these settings."""
    found = cache(managed())
    settings = {**found.settings, **changed}
    return replace(done(managed()), cache=replace(found, status=status, settings=settings))


def tagged(**tags: str) -> Observed:
    return replace(seen(), cache=replace(cache(managed()), tags=tags))


def calls(wanted: Wanted, seen: Observed) -> list[tuple[str, dict[str, Any]]]:
    """What the only change calls, the cache's name left out."""
    (change,) = plan(wanted, seen)
    return [
        (call.operation, {k: v for k, v in call.arguments.items() if k != "ServerlessCacheName"})
        for call in change.calls
    ]


WAIT: tuple[str, dict[str, Any]] = ("describe_serverless_caches", {})


def test_nothing_to_do() -> None:
    assert plan(managed(), seen()) == []
    assert not creates_cache(managed(), seen())


def test_its_creation_starts_first_and_is_waited_for_before_the_functions() -> None:
    said = lines(managed(None), NOTHING)
    assert said[0] == (
        "create cache gimel: does not exist yet, about $6 a month at the minimum, at most about "
        "$122 with these limits (us-east-1 prices)"
    )
    place = said.index("wait for cache gimel: the functions need its address")
    assert said[place - 1].startswith("create policy of role gimel: ")
    assert said[place + 1].startswith("create log group ")
    assert creates_cache(managed(None), NOTHING)


def test_it_is_created_with_these_parameters() -> None:
    (first, *_) = plan(managed(None, gigabytes=2, ecpu=5000, snapshot_days=3), NOTHING)
    (call,) = first.calls
    assert call.operation == "create_serverless_cache"
    assert call.arguments == {
        "ServerlessCacheName": "gimel",
        "Description": "The counters of this Gimel",
        "Engine": "valkey",
        "MajorEngineVersion": "9",
        "ConnectionType": "public",
        "UserGroupId": "default.iam-user-group",
        "CacheUsageLimits": {
            "DataStorage": {"Maximum": 2, "Unit": "GB"},
            "ECPUPerSecond": {"Maximum": 5000},
        },
        "SnapshotRetentionLimit": 3,
        "DailySnapshotTime": "03:00",
        "Tags": [{"Key": "gimel:stack", "Value": "gimel"}],
    }


def test_without_snapshots_there_is_no_time_for_them() -> None:
    (first, *_) = plan(managed(None, snapshot_days=0), NOTHING)
    arguments = first.calls[0].arguments
    assert arguments["SnapshotRetentionLimit"] == 0
    assert "DailySnapshotTime" not in arguments


def test_the_release_does_not_depend_on_whether_the_address_is_known() -> None:
    before, after = managed(None).configurations, managed().configurations
    for name, configuration in after.items():
        variables = configuration["Environment"]["Variables"]
        assert variables["GIMEL_REDIS_URL"] == f"rediss://{ADDRESS}/0"
        assert variables["GIMEL_REDIS_IAM"] == "gimel"
        assert configuration["Description"] == before[name]["Description"]
    assert wanted().configurations["gimel-track"]["Description"] not in str(after)


def test_each_setting_is_changed_by_a_request_of_its_own() -> None:
    otherwise = {"UserGroupId": "mine", "SnapshotRetentionLimit": 1, "MajorEngineVersion": "8"}
    settings = cache_settings(ManagedRedis())
    expected = []
    for name in ("MajorEngineVersion", "UserGroupId", "SnapshotRetentionLimit"):
        expected += [("modify_serverless_cache", {name: settings[name]}), WAIT]
    assert calls(managed(), seen(**otherwise)) == expected
    (change,) = plan(managed(), seen(**otherwise))
    assert change.why == "MajorEngineVersion, UserGroupId, SnapshotRetentionLimit"


def test_snapshots_that_begin_later_get_their_time_too() -> None:
    assert calls(managed(), seen(SnapshotRetentionLimit=0)) == [
        ("modify_serverless_cache", {"SnapshotRetentionLimit": 7}),
        WAIT,
        ("modify_serverless_cache", {"DailySnapshotTime": "03:00"}),
        WAIT,
    ]
    none = managed(snapshot_days=0)
    assert calls(none, seen()) == [("modify_serverless_cache", {"SnapshotRetentionLimit": 0}), WAIT]


def test_both_limits_are_one_setting() -> None:
    assert calls(managed(ecpu=1000), seen()) == [
        (
            "modify_serverless_cache",
            {
                "CacheUsageLimits": {
                    "DataStorage": {"Maximum": 1, "Unit": "GB"},
                    "ECPUPerSecond": {"Maximum": 1000},
                }
            },
        ),
        WAIT,
    ]


def test_the_functions_know_its_size() -> None:
    """It may not report it."""
    said = lines(managed(gigabytes=2), seen())
    assert said[0] == "update cache gimel: CacheUsageLimits"
    assert "update function gimel-track: Environment (GIMEL_LIMITS)" in said


def test_a_minimum_which_costs_money_is_removed() -> None:
    limits = {
        "DataStorage": {"Maximum": 1, "Minimum": 1, "Unit": "GB"},
        "ECPUPerSecond": {"Maximum": 10_000, "Minimum": 0},
    }
    ((_, arguments), _) = calls(managed(), seen(CacheUsageLimits=limits))
    assert arguments["CacheUsageLimits"] == {
        "DataStorage": {"Maximum": 1, "Minimum": 0, "Unit": "GB"},
        "ECPUPerSecond": {"Maximum": 10_000},
    }
    without = {part: {**values, "Minimum": 0} for part, values in limits.items()}
    assert plan(managed(), seen(CacheUsageLimits=without)) == []


@pytest.mark.parametrize("limits", [None, {}])
def test_limits_that_somebody_took_away_are_set_again(limits: object) -> None:
    ((operation, arguments), _) = calls(managed(), seen(CacheUsageLimits=limits))
    assert (operation, list(arguments)) == ("modify_serverless_cache", ["CacheUsageLimits"])


def test_a_later_valkey_stays() -> None:
    assert plan(managed(), seen(MajorEngineVersion="10")) == []


def test_missing_tags_are_set() -> None:
    ((operation, arguments),) = calls(
        wanted(address=ADDRESS, redis="managed", tags={"team": "shop"}),
        replace(
            done(wanted(address=ADDRESS, redis="managed", tags={"team": "shop"})),
            cache=cache(managed()),
        ),
    )
    assert operation == "add_tags_to_resource"
    assert arguments["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_a_cache_that_is_being_changed_is_waited_for_before_it_is_changed() -> None:
    assert plan(managed(), seen("modifying")) == []
    first, (operation, _), last = calls(managed(), seen("modifying", UserGroupId="mine"))
    assert (first, operation, last) == (WAIT, "modify_serverless_cache", WAIT)


def test_a_creation_that_a_killed_deploy_started_is_waited_for() -> None:
    said = lines(managed(None), replace(NOTHING, cache=seen("creating").cache))
    assert "wait for cache gimel: the functions need its address" in said
    assert not any(line.startswith("create cache") for line in said)


@pytest.mark.parametrize(
    ("status", "operations"),
    [
        ("create-failed", ["delete_serverless_cache", "describe_serverless_caches"]),
        ("deleting", ["describe_serverless_caches"]),
    ],
)
def test_a_cache_that_is_lost_is_created_again(status: str, operations: list[str]) -> None:
    first, *_ = plan(managed(None), seen(status))
    assert [call.operation for call in first.calls] == [*operations, "create_serverless_cache"]
    assert creates_cache(managed(None), seen(status))
    assert "wait for cache gimel: the functions need its address" in lines(
        managed(None), seen(status)
    )


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"ConnectionType": "vpc"}, "in a VPC"),
        ({"ConnectionType": None, "SubnetIds": ["subnet-1"]}, "in a VPC"),
        ({"Engine": "redis", "MajorEngineVersion": "7"}, "a redis"),
    ],
)
def test_a_cache_that_cannot_become_public_is_refused(settings: dict[str, Any], kind: str) -> None:
    with pytest.raises(DeployError) as refused:
        plan(managed(), seen(**settings))
    assert str(refused.value) == (
        f"cache gimel is {kind}, and Gimel needs a Valkey with a public endpoint, which AWS cannot "
        'make of it: delete the cache, or choose another "stack" in config.json'
    )


def test_a_cache_of_others_is_left_alone() -> None:
    with pytest.raises(DeployError, match=r"another stack made these.*cache gimel"):
        plan(managed(), tagged(**{"gimel:stack": "shop"}), adopt=True)
    with pytest.raises(DeployError, match=r"did not make these.*cache gimel"):
        plan(managed(), tagged())
    (change,) = plan(managed(), tagged(), adopt=True)
    assert str(change) == "tag cache gimel: taken over"
    # It only bears the name.
    assert plan(wanted(), replace(done(wanted()), cache=tagged().cache)) == []


def test_leaving_a_redis_behind_is_said() -> None:
    (note,) = notes(managed(None), done(wanted()))
    assert note.startswith("no counts are moved: ")
    assert notes(managed(), seen()) == []
    assert notes(managed(None), NOTHING) == []
    back = replace(done(wanted()), cache=cache(managed()))
    (note,) = notes(wanted(), back)
    assert "costs about $6 a month at the minimum (us-east-1 prices)" in note
    assert "`aws elasticache delete-serverless-cache --serverless-cache-name gimel`" in note
    assert notes(wanted(), replace(back, cache=tagged().cache)) == []
    halfway = function(done(wanted()), "gimel-track", live=None)
    assert len(notes(managed(None), halfway)) == 1


def deletion(seen: Observed, snapshot: str | None = None) -> list[tuple[str, str | None]]:
    (change,) = plan_cache_deletion(Names("gimel"), seen, snapshot)
    return [(call.operation, call.arguments.get("FinalSnapshotName")) for call in change.calls]


def test_a_deletion_leaves_a_snapshot_and_is_waited_for() -> None:
    gone = ("describe_serverless_caches", None)
    assert deletion(seen(), "s") == [("delete_serverless_cache", "s"), gone]
    assert deletion(seen()) == [("delete_serverless_cache", None), gone]
    assert deletion(seen("creating"), "s") == [gone, ("delete_serverless_cache", "s"), gone]
    assert deletion(seen("create-failed"), "s") == [("delete_serverless_cache", None), gone]
    assert deletion(seen("deleting"), "s") == [gone]


def test_only_the_stacks_own_cache_is_deleted() -> None:
    for other in (NOTHING, tagged(), tagged(**{"gimel:stack": "shop"})):
        assert list(plan_cache_deletion(Names("gimel"), other, "s")) == []
