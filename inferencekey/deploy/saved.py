"""Plans in files: review a plan first, and carry out exactly that plan later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import orjson

from inferencekey.credentials import redact
from inferencekey.deploy.plan import ManifestPlan
from inferencekey.errors import ConfigurationError, ValidationError

__all__ = ["read_plan", "write_plan"]


def write_plan(plan: ManifestPlan, path: str | os.PathLike[str]) -> None:
    """Save a plan. Of files that exist, only an earlier saved plan is overwritten.

    Args:
        plan: the plan.
        path: the file.

    Raises:
        ValidationError: the file is the manifest's lock file, or exists and is not a saved plan.
        ConfigurationError: a live workload has a credential in a field that would change, so the
            file would contain it.
        OSError: the file cannot be read or written.
    """
    path = Path(path)
    if path.resolve() == plan.lock_path.resolve():
        raise ValidationError.of(f"{path} is the manifest's lock file; name another file")
    if path.is_file() and not _is_saved_plan(path):
        raise ValidationError.of(f"{path} exists and is not a saved plan; name another file")
    text = orjson.dumps(plan.to_dict(), option=orjson.OPT_INDENT_2).decode() + "\n"
    if redact(text) != text:
        raise ConfigurationError.of(
            "a live workload has a credential in a field that would change, so the saved plan "
            "would contain it; the plan was not saved"
        )
    path.write_text(text, encoding="utf-8")


def read_plan(path: str | os.PathLike[str]) -> ManifestPlan:
    """Read a plan that :func:`write_plan` saved.

    The plan is bound to the platform that it was made for: ``apply`` refuses it on a client of
    another one, since a file must not decide where credentials are sent.

    Args:
        path: the file.

    Raises:
        ValidationError: it is not a saved plan, was changed after it was made, or its manifest does
            not exist here, and so neither does the lock file beside it.
        OSError: it cannot be read.
    """
    path = Path(path)
    try:
        given = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise ValidationError.of(f"{path} is not a saved plan") from None
    try:
        plan = ManifestPlan.from_dict(given)
    except ValidationError as error:
        raise ValidationError.of(f"{path} is not a saved plan: {error.detail}") from None
    if not plan.manifest_path.exists():
        raise ValidationError.of(
            f"{path} was made from {plan.manifest_path}, which does not exist here; apply the plan "
            "in the directory in which it was made, where the manifest's lock file is"
        )
    return plan


def _is_saved_plan(path: Path) -> bool:
    try:
        given: object = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return False
    if not isinstance(given, Mapping):
        return False
    return {"format", "digest", "plans", "lock"} <= set(cast("Mapping[str, object]", given))
