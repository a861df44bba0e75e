"""Execution policies: what each kind must be given. The rules are the platform contract's."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from inferencekey.errors import ValidationError
from inferencekey.models import ExecutionPolicy, member

__all__ = ["check_policy"]

Config = Mapping[str, Any]

_WHERE: Final = "execution_policy_config"
_WINDOW: Final = re.compile(
    r"(?:(?P<days>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:-(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun))?)\s+)"
    r"(?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d)\s+(?P<zone>[A-Za-z0-9_+\-/]+)"
)
_CRON_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_NAMES: Final = {
    **{name: index for index, name in enumerate(_MONTHS, 1)},
    **{name: index for index, name in enumerate(_DAYS)},
}


def check_policy(kind: str | None, config: Config | None) -> None:
    """Check a policy and its config together.

    Raises:
        ValidationError: the kind is unknown, or its config lacks something or has it wrong; the message names it.
    """
    if kind is None:
        if config is not None:
            raise ValidationError(f"{_WHERE} needs execution_policy")
        return
    policy = member(ExecutionPolicy, kind, "execution_policy")
    if config is None:
        # One replica is what everybody means by `fixed`; the other kinds mean nothing without their numbers.
        if policy is not ExecutionPolicy.FIXED:
            raise ValidationError(f"{_WHERE} is required for execution_policy {kind!r}")
        return
    _CHECKS[policy](config)


def _fixed(config: Config) -> None:
    _whole(config, "replicas", at_least=1)


def _scheduled(config: Config) -> None:
    if ("cron" in config) == ("window" in config):
        raise ValidationError(f"{_WHERE} must have exactly one of cron and window")
    if "cron" in config:
        if not _is_cron(config["cron"]):
            raise ValidationError(f"{_WHERE}.cron must be five fields like '0 2 * * *'; got {config['cron']!r}")
    elif not _is_window(config["window"]):
        raise ValidationError(
            f"{_WHERE}.window must be like 'Mon-Fri 08:00-20:00 Europe/Madrid'; got {config['window']!r}"
        )


def _autoscaling(config: Config) -> None:
    low = _whole(config, "min_workers", at_least=0)
    high = _whole(config, "max_workers", at_least=1)
    if high < low:
        raise ValidationError(f"{_WHERE}.max_workers must not be less than min_workers")
    workers = _object(config, "workers")
    source = workers.get("source")
    if source == "cloud":
        _more_than_zero(config, "max_hourly_cost_usd")
        pool = _object(workers, "cloud_pool", "workers.")
        _texts(pool, "gpu_pool", "workers.cloud_pool.")
        _more_than_zero(pool, "max_hourly_cost_usd", "workers.cloud_pool.")
        _whole(pool, "max_instances", "workers.cloud_pool.", at_least=1)
        if pool.get("allowed_cuda_versions") is not None:
            _texts(pool, "allowed_cuda_versions", "workers.cloud_pool.")
    elif source == "private":
        _texts(workers, "private_worker_ids", "workers.")
    else:
        raise ValidationError(f"{_WHERE}.workers.source must be 'cloud' or 'private'; got {source!r}")


_CHECKS: Final[dict[ExecutionPolicy, Callable[[Config], None]]] = {
    ExecutionPolicy.FIXED: _fixed,
    ExecutionPolicy.SCHEDULED: _scheduled,
    ExecutionPolicy.AUTOSCALING: _autoscaling,
}


def _whole(config: Config, name: str, inside: str = "", *, at_least: int) -> int:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ValidationError(f"{_WHERE}.{inside}{name} must be a whole number of at least {at_least}; got {value!r}")
    return value


def _more_than_zero(config: Config, name: str, inside: str = "") -> None:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValidationError(f"{_WHERE}.{inside}{name} must be a number above 0; got {value!r}")


def _object(config: Config, name: str, inside: str = "") -> Config:
    value = config.get(name)
    if not isinstance(value, dict):
        raise ValidationError(f"{_WHERE}.{inside}{name} must be an object; got {value!r}")
    return cast("dict[str, Any]", value)


def _texts(config: Config, name: str, inside: str) -> None:
    value: object = config.get(name)
    items = cast("list[object]", value) if isinstance(value, list) else []
    if not items or not all(isinstance(item, str) and item.strip() for item in items):
        raise ValidationError(f"{_WHERE}.{inside}{name} must be a list of at least one text; got {value!r}")


def _is_cron(value: object) -> bool:
    fields = value.split() if isinstance(value, str) else []
    return len(fields) == len(_CRON_RANGES) and all(
        _is_cron_field(field.lower(), low, high) for field, (low, high) in zip(fields, _CRON_RANGES, strict=True)
    )


def _is_cron_field(field: str, low: int, high: int) -> bool:
    for item in field.split(","):
        span, slash, step = item.partition("/")
        if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
            return False
        if span == "*":
            continue
        ends = [_cron_value(end) for end in span.split("-")]
        if len(ends) > 2 or any(end is None or not low <= end <= high for end in ends):
            return False
    return True


def _cron_value(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text[:4])
    return _CRON_NAMES.get(text)


def _is_window(value: object) -> bool:
    match = _WINDOW.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return False
    times = (match["from"], match["to"])
    if not all(time[:2] < "24" and time[3:] < "60" for time in times) or match["from"] == match["to"]:
        return False
    known = zoneinfo.available_timezones()
    # A machine without a time zone database knows none; that is not the caller's mistake.
    return not known or match["zone"] in known
