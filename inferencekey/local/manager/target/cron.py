"""When a cron expression fires. Always in UTC: a schedule is the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from inferencekey._core.control.cron import LONGEST
from inferencekey.errors import ValidationError

__all__ = ["LONGEST", "check_schedule", "last_fire", "next_fire"]


def check_schedule(fields: Mapping[str, Any]) -> None:
    """Check that the cron expression of a policy can be evaluated, if the policy has one.

    Args:
        fields: a workload's fields; the policy itself was checked before.

    Raises:
        ValidationError: the expression cannot be evaluated, or never fires.
    """
    config: Mapping[str, Any] = fields.get("execution_policy_config") or {}
    expression = config.get("cron")
    if not isinstance(expression, str):
        return
    if len(expression) > LONGEST:
        raise ValidationError(
            f"execution_policy_config.cron must not be longer than {LONGEST} characters"
        )
    try:
        fires = next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValidationError(
            f"execution_policy_config.cron cannot be evaluated ({str(error).lower()});"
            f" got {expression!r}"
        ) from None
    if fires is None:
        raise ValidationError(f"execution_policy_config.cron never fires; got {expression!r}")


def next_fire(expression: str, now: datetime) -> datetime | None:
    """Return when it fires first after *now*; ``None`` when it never does."""
    return _first(expression, now, reverse=False)


def last_fire(expression: str, now: datetime) -> datetime | None:
    """Return when it fired last, *now* included; ``None`` when it never did."""
    # cronsim excludes the moment that it begins with, and counts in whole seconds.
    return _first(expression, now.replace(microsecond=0) + timedelta(seconds=1), reverse=True)


def _first(expression: str, now: datetime, *, reverse: bool) -> datetime | None:
    try:
        return next(CronSim(expression, now.astimezone(UTC), reverse=reverse), None)
    except CronSimError:
        return None  # stored by a version that checked less
