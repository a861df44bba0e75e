"""When a cron expression fires. In UTC, whatever the machine's zone is: a schedule means the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

from inferencekey._core.control.cron import LONGEST
from inferencekey.errors import ValidationError

__all__ = ["LONGEST", "check_schedule", "last_fire", "next_fire"]


def check_schedule(fields: Mapping[str, Any]) -> None:
    """Check that the cron expression of a checked policy, where there is one, can be evaluated.

    Raises:
        ValidationError: it cannot, or never fires; the message says which.
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
            f"execution_policy_config.cron cannot be evaluated ({str(error).lower()}); got {expression!r}"
        ) from None
    if fires is None:
        raise ValidationError(f"execution_policy_config.cron never fires; got {expression!r}")


def next_fire(expression: str, now: datetime) -> datetime | None:
    """Return the first fire after *now*; ``None`` when there is none."""
    return _first(expression, now, reverse=False)


def last_fire(expression: str, now: datetime) -> datetime | None:
    """Return the last fire until *now*, this moment included; ``None`` when there was none."""
    return _first(expression, now.replace(microsecond=0) + timedelta(seconds=1), reverse=True)


def _first(expression: str, now: datetime, *, reverse: bool) -> datetime | None:
    try:
        return next(CronSim(expression, now.astimezone(UTC), reverse=reverse), None)
    except CronSimError:
        return None  # stored before it was checked like this
