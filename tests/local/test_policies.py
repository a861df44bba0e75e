"""Execution policies, as the contract has them."""

from __future__ import annotations

from typing import Any

import pytest

from inferencekey.errors import ValidationError
from inferencekey.local.policies import check_policy

POOL = {"gpu_pool": ["RTX 4090"], "max_hourly_cost_usd": 0.5, "max_instances": 2}
CLOUD = {
    "min_workers": 0,
    "max_workers": 3,
    "max_hourly_cost_usd": 2,
    "workers": {"source": "cloud", "cloud_pool": POOL},
}
PRIVATE = {"min_workers": 1, "max_workers": 1, "workers": {"source": "private", "private_worker_ids": ["w1"]}}


def cloud(**pool: Any) -> dict[str, Any]:
    return {**CLOUD, "workers": {"source": "cloud", "cloud_pool": {**POOL, **pool}}}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (None, None),
        ("fixed", None),
        ("fixed", {"replicas": 1}),
        ("fixed", {"replicas": 8, "unknown": True}),
        ("scheduled", {"cron": "0 2 * * *"}),
        ("scheduled", {"cron": "*/15 8-20 1,15 jan-jun Mon-fri"}),
        ("scheduled", {"window": "Mon-Fri 08:00-20:00 Europe/Madrid"}),
        ("scheduled", {"window": "Sun 22:00-06:00 UTC"}),
        ("autoscaling", CLOUD),
        ("autoscaling", cloud(allowed_cuda_versions=["12.4"])),
        ("autoscaling", PRIVATE),
    ],
)
def test_what_is_a_policy(kind: str | None, config: dict[str, Any] | None) -> None:
    check_policy(kind, config)


@pytest.mark.parametrize(
    ("kind", "config", "named"),
    [
        (None, {"replicas": 1}, "execution_policy_config needs execution_policy"),
        ("often", None, "execution_policy must be one of"),
        ("scheduled", None, "execution_policy_config is required"),
        ("autoscaling", None, "execution_policy_config is required"),
        ("fixed", {}, "replicas"),
        ("fixed", {"replicas": 0}, "replicas"),
        ("fixed", {"replicas": True}, "replicas"),
        ("fixed", {"replicas": 1.5}, "replicas"),
        ("scheduled", {}, "exactly one of cron and window"),
        ("scheduled", {"cron": "0 2 * * *", "window": "x"}, "exactly one of cron and window"),
        ("scheduled", {"cron": "0 2 * *"}, "cron"),
        ("scheduled", {"cron": "60 2 * * *"}, "cron"),
        ("scheduled", {"cron": "0 2 * * someday"}, "cron"),
        ("scheduled", {"cron": "*/0 2 * * *"}, "cron"),
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
        ("autoscaling", {key: CLOUD[key] for key in CLOUD if key != "max_hourly_cost_usd"}, "max_hourly_cost_usd"),
        ("autoscaling", {**CLOUD, "workers": None}, "workers must be an object"),
        ("autoscaling", {**CLOUD, "workers": {"source": "moon"}}, "workers.source"),
        ("autoscaling", {**CLOUD, "workers": {"source": "cloud"}}, "cloud_pool"),
        ("autoscaling", cloud(gpu_pool=[]), "gpu_pool"),
        ("autoscaling", cloud(gpu_pool=["", "x"]), "gpu_pool"),
        ("autoscaling", cloud(max_instances=0), "max_instances"),
        ("autoscaling", cloud(max_hourly_cost_usd="1"), "cloud_pool.max_hourly_cost_usd"),
        ("autoscaling", cloud(allowed_cuda_versions=[12]), "allowed_cuda_versions"),
        ("autoscaling", {**PRIVATE, "workers": {"source": "private", "private_worker_ids": []}}, "private_worker_ids"),
    ],
)
def test_what_is_none(kind: str | None, config: dict[str, Any] | None, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        check_policy(kind, config)
