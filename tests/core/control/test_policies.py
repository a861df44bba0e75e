"""Execution policies, as the contract has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.control.policies import check_policy, known_settings, policy_problems
from inferencekey.errors import ValidationError
from inferencekey.models import ExecutionPolicy

POOL = {"gpu_pool": ["RTX 4090"], "max_hourly_cost_usd": 0.5, "max_instances": 2}
CLOUD = {
    "min_workers": 0,
    "max_workers": 3,
    "max_hourly_cost_usd": 2,
    "workers": {"source": "cloud", "cloud_pool": POOL},
}
PRIVATE = {
    "min_workers": 1,
    "max_workers": 1,
    "workers": {"source": "private", "private_worker_ids": ["w1"]},
}


def cloud(**pool: Any) -> dict[str, Any]:
    return {**CLOUD, "workers": {"source": "cloud", "cloud_pool": {**POOL, **pool}}}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (None, None),
        ("fixed", None),
        ("fixed", {"replicas": 1}),
        ("fixed", {"replicas": 8}),
        ("scheduled", {"cron": "0 0 29 2 *"}),
        ("scheduled", {"cron": "0 0 30 2 mon"}),
        ("scheduled", {"cron": "0 0 31 2,jan *"}),
        ("scheduled", {"cron": "0 0 31 1-3/2 *"}),
        ("scheduled", {"cron": "0 0 31 2/3 *"}),
        ("scheduled", {"cron": "0 2 * * *"}),
        ("scheduled", {"cron": "*/15 8-20 1,15 jan-jun Mon-fri"}),
        ("scheduled", {"window": "Mon-Fri 08:00-20:00 Europe/Madrid"}),
        ("scheduled", {"window": "Sun 22:00-06:00 UTC"}),
        ("autoscaling", CLOUD),
        ("autoscaling", cloud(allowed_cuda_versions=["12.4"])),
        ("autoscaling", PRIVATE),
    ],
)
def test_accepts_policies(kind: str | None, config: dict[str, Any] | None) -> None:
    check_policy(kind, config)


@pytest.mark.parametrize(
    ("kind", "config", "named"),
    [
        (None, {"replicas": 1}, "execution_policy_config needs execution_policy"),
        ("often", None, "execution_policy must be one of"),
        ("scheduled", None, "execution_policy_config is required"),
        ("autoscaling", None, "execution_policy_config is required"),
        ("fixed", {}, "replicas is required: an integer of at least 1$"),
        ("fixed", {"replicas": None}, "replicas is required"),
        (
            "fixed",
            {"replcias": 2},
            r"replcias is not a setting of 'fixed'; did you mean 'replicas'\?$",
        ),
        (
            "fixed",
            {"replicas": 2, "zone": "eu"},
            "zone is not a setting of 'fixed'; known: replicas$",
        ),
        (
            "scheduled",
            {"cron": "0 2 * * *", "tz": "UTC"},
            "tz is not a setting of 'scheduled'; known: cron, window$",
        ),
        (
            "autoscaling",
            {**PRIVATE, "workers": {**PRIVATE["workers"], "sorce": 1}},
            "workers.sorce is not a setting of",
        ),
        (
            "autoscaling",
            {**PRIVATE, "workers": {}},
            "workers.source is required: 'cloud' or 'private'",
        ),
        (
            "autoscaling",
            cloud(gpus=["x"]),
            "workers.cloud_pool.gpus is not a setting of 'autoscaling'; known: gpu_pool, ",
        ),
        ("autoscaling", {**PRIVATE, "a.b": 1}, "a.b is not a setting"),
        (
            "scheduled",
            {"cron": "0 0 30 2 *"},
            r"cron never matches: none of its months has a day 30; got '0 0 30 2 \*'",
        ),
        ("scheduled", {"cron": "0 0 31 4 *"}, "cron never matches"),
        ("scheduled", {"cron": "0 0 31 feb,apr-jun/2 */2"}, "cron never matches"),
        (
            "scheduled",
            {"cron": "0," * 500 + "0 * * * *"},
            "cron must not be longer than 1000 characters; got 1009",
        ),
        (
            "scheduled",
            {"cron": "5-1 2 * * *"},
            "cron must have a range from low to high as its minute, not '5-1'; got",
        ),
        (
            "scheduled",
            {"cron": "0 2 * * jan"},
            "cron must have 0 to 7 or sun to sat as its day of the week, not 'jan'; got",
        ),
        (
            "scheduled",
            {"cron": "0 2 * 13 *"},
            "cron must have 1 to 12 or jan to dec as its month, not '13'; got",
        ),
        (
            "scheduled",
            {"cron": "0 2 0,1 * *"},
            "cron must have 1 to 31 as its day of the month, not '0'; got",
        ),
        ("scheduled", {"window": "Mon-Fri 08:00-20:60 Europe/Madrid"}, "window"),
        (
            "autoscaling",
            {**CLOUD, "workers": {"source": "cloud", "cloud_pool": []}},
            "cloud_pool must be an object",
        ),
        ("fixed", {"replicas": 0}, "replicas"),
        ("fixed", {"replicas": True}, "replicas"),
        ("fixed", {"replicas": 1.5}, "replicas"),
        ("scheduled", {}, "exactly one of cron and window"),
        ("scheduled", {"cron": "0 2 * * *", "window": "x"}, "exactly one of cron and window"),
        ("scheduled", {"cron": "0 2 * *"}, "cron"),
        (
            "scheduled",
            {"cron": "60 2 * * *"},
            r"cron must have 0 to 59 as its minute, not '60'; got '60 2 \* \* \*'$",
        ),
        ("scheduled", {"cron": "0 2 * * someday"}, "cron"),
        (
            "scheduled",
            {"cron": "*/0 2 * * *"},
            r"integer of at least 1 after the '/' in its minute '\*/0'; got",
        ),
        ("scheduled", {"cron": "1-2-3 2 * * *"}, "cron"),
        ("scheduled", {"cron": "0 ² * * *"}, "cron"),
        ("scheduled", {"cron": 5}, "cron"),
        ("scheduled", {"window": "08:00-20:00"}, "window"),
        ("scheduled", {"window": "Mon-Fri 25:00-26:00 Europe/Madrid"}, "window"),
        ("scheduled", {"window": "Mon-Fri 08:00-08:00 Europe/Madrid"}, "window"),
        ("scheduled", {"window": "Mon-Fri 08:00-20:00 Mars/Olympus"}, "window"),
        ("scheduled", {"window": None}, "window"),
        ("autoscaling", {**CLOUD, "min_workers": -1}, "min_workers"),
        ("autoscaling", {**CLOUD, "max_workers": 0}, "max_workers"),
        ("autoscaling", {**CLOUD, "min_workers": 4}, "max_workers must not be less"),
        ("autoscaling", {**CLOUD, "max_hourly_cost_usd": 0}, "max_hourly_cost_usd"),
        (
            "autoscaling",
            {key: CLOUD[key] for key in CLOUD if key != "max_hourly_cost_usd"},
            "max_hourly_cost_usd",
        ),
        ("autoscaling", {**CLOUD, "workers": None}, "workers is required: an object"),
        ("autoscaling", {**CLOUD, "workers": {"source": "moon"}}, "workers.source"),
        ("autoscaling", {**CLOUD, "workers": {"source": "cloud"}}, "cloud_pool"),
        ("autoscaling", cloud(gpu_pool=[]), "gpu_pool"),
        ("autoscaling", cloud(gpu_pool=["", "x"]), "gpu_pool"),
        ("autoscaling", cloud(max_instances=0), "max_instances"),
        ("autoscaling", cloud(max_hourly_cost_usd="1"), "cloud_pool.max_hourly_cost_usd"),
        ("autoscaling", cloud(allowed_cuda_versions=[12]), "allowed_cuda_versions"),
        (
            "autoscaling",
            {**PRIVATE, "workers": {"source": "private", "private_worker_ids": []}},
            "private_worker_ids",
        ),
    ],
)
def test_rejects_policies(kind: str | None, config: dict[str, Any] | None, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        check_policy(kind, config)


def test_every_problem_is_found() -> None:
    found = dict(policy_problems(ExecutionPolicy.AUTOSCALING, {"min_workers": "1"}))
    assert [path[1:] for path in found] == [("min_workers",), ("max_workers",), ("workers",)]
    assert len(list(policy_problems(ExecutionPolicy.SCHEDULED, {"cron": "x", "window": "x"}))) == 1
    pool = {"min_workers": 1, "max_workers": 2, "workers": {"source": "cloud"}}
    assert [path[1:] for path, _ in policy_problems(ExecutionPolicy.AUTOSCALING, pool)] == [
        ("max_hourly_cost_usd",),
        ("workers", "cloud_pool"),
    ]


def test_removes_settings_that_only_a_server_knows() -> None:
    pool = cloud(region="eu")
    stored = {**pool, "cooldown": 5, "workers": {**pool["workers"], "x": {"source": 1}}}
    assert known_settings(ExecutionPolicy.AUTOSCALING, stored) == cloud()
    assert known_settings(ExecutionPolicy.FIXED, {"replicas": 1, "zone": "eu"}) == {"replicas": 1}
    assert known_settings(ExecutionPolicy.AUTOSCALING, {"workers": 5}) == {"workers": 5}
    assert not list(
        policy_problems(
            ExecutionPolicy.AUTOSCALING, known_settings(ExecutionPolicy.AUTOSCALING, stored)
        )
    )


def test_long_values_are_not_shown_whole() -> None:
    ((_, message),) = policy_problems(ExecutionPolicy.SCHEDULED, {"cron": "x" * 5000})
    assert len(message) < 200


FIELDS = st.lists(
    st.sampled_from(
        [
            "*",
            "0",
            "5",
            "60",
            "7",
            "31",
            "13",
            "fri",
            "mon-fri",
            "sun-sat",
            "*/5",
            "*/0",
            "5/2",
            "1-5/3",
        ]
    )
    | st.text("0123456789*/-,", min_size=1, max_size=6),
    min_size=5,
    max_size=5,
)


DATES = st.tuples(
    st.just("0"),
    st.just("0"),
    st.sampled_from(
        ["*", "*/2", "28", "29", "30", "31", "30,31", "29-31/2", "30/2", "31,1", "30-31"]
    ),
    st.lists(
        st.sampled_from(
            ["*", "2", "feb", "4", "apr-jun", "4-11/5", "2/2", "2/12", "*/13", "11", "9,2", "12"]
        ),
        min_size=1,
        max_size=2,
    ).map(",".join),
    st.sampled_from(["*", "*/7", "1", "mon-fri", "0,7"]),
).map(list)


@given(FIELDS | DATES)
def test_a_cron_library_accepts_every_accepted_expression(
    fields: list[str],
) -> None:
    cronsim = pytest.importorskip("cronsim")
    text = " ".join(fields)
    if not list(policy_problems(ExecutionPolicy.SCHEDULED, {"cron": text})):
        try:
            assert next(cronsim.CronSim(text, datetime(2026, 1, 1)), None) is not None, text
        except cronsim.CronSimError as error:
            raise AssertionError(text) from error


@given(DATES)
def test_a_date_is_rejected_only_if_it_never_matches(fields: list[str]) -> None:
    cronsim = pytest.importorskip("cronsim")
    text = " ".join(fields)
    if list(policy_problems(ExecutionPolicy.SCHEDULED, {"cron": text})):
        try:
            assert next(cronsim.CronSim(text, datetime(2026, 1, 1)), None) is None, text
        except cronsim.CronSimError:
            pass
