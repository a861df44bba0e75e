"""A survey in a file: what ``plan --out`` writes, ``plan --json`` prints, and ``apply`` carries out later."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import orjson

from inferencekey import AsyncManagementClient
from inferencekey._core.control.plans import moved_error
from inferencekey.cli.failures import CommandError
from inferencekey.config import redact
from inferencekey.deploy.plan import Removal, Survey, live_workloads
from inferencekey.errors import DriftError, ValidationError
from inferencekey.manifest import Lock, Manifest
from inferencekey.models import Plan

__all__ = ["check_place", "check_still", "plan_document", "read_plan", "write_plan"]

FORMAT: Final = 1


def plan_document(found: Survey) -> dict[str, Any]:
    """Return a survey as JSON-able values."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "base_url": found.base_url,
        "manifest": str(found.manifest),
        "lock": str(found.lock),
        "prune": found.prune,
        "summary": {
            "create": found.count("create"),
            "update": found.count("update"),
            "unchanged": found.count("none"),
            "remove": len(found.removals),
        },
        "plans": [plan.to_dict() for plan in found.plans],
        "remove": [removal.to_dict() for removal in found.removals],
    }
    return {**content, "digest": _digest(content)}


def check_place(path: Path, manifest: Manifest) -> None:
    """Check that a plan may be saved there: over nothing but an earlier plan.

    Raises:
        CommandError: it is the manifest, its lock file, or another file.
        OSError: what is there cannot be read.
    """
    place = path.resolve()
    if place == manifest.lock_path.resolve():
        raise CommandError(f"{path} is the manifest's lock file; name another file for the plan")
    if place in {source.resolve() for source in manifest.sources}:
        raise CommandError(f"{path} is the manifest; name another file for the plan")
    if not path.is_file():
        return
    try:
        given: object = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        given = None
    if not (
        isinstance(given, Mapping)
        and {"format", "digest", "plans", "lock"} <= set(cast("Mapping[str, Any]", given))
    ):
        raise CommandError(
            f"{path} is there already and is no saved plan; name another file, or remove it"
        )


def write_plan(found: Survey, path: Path) -> None:
    """Save a survey.

    Raises:
        CommandError: what is live holds a credential, which belongs in no file.
        OSError: it cannot be written.
    """
    text = orjson.dumps(plan_document(found), option=orjson.OPT_INDENT_2).decode() + "\n"
    if redact(text) != text:
        raise CommandError(
            "a live workload holds a credential in what would change, and a saved plan would hold it too; not written"
        )
    path.write_text(text, encoding="utf-8")


def read_plan(path: Path, base_url: str) -> Survey:
    """Read a saved plan.

    Args:
        path: the file.
        base_url: the platform that is configured now: a file does not decide where credentials are sent.

    Raises:
        CommandError: it is no saved plan, was changed, was made for another platform, or elsewhere.
        OSError: it cannot be read.
    """
    try:
        given: object = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise CommandError(
            f"{path} is no saved plan (a manifest is given with -f); `inferencekey plan --out FILE` writes one"
        ) from None
    try:
        found = _survey(given)
    except (KeyError, TypeError, ValidationError) as error:
        why = f": {error}" if isinstance(error, ValidationError) else ""
        raise CommandError(
            f"{path} is no saved plan, or was changed after it was made{why}; plan again"
        ) from None
    if found.base_url != base_url:
        raise CommandError(
            f"{path} was made for {found.base_url}, but {base_url} is configured; set INFERENCEKEY_BASE_URL or --base-url"
        )
    if not found.manifest.exists():
        raise CommandError(
            f"{path} was made from {found.manifest}, which is not here, and neither is the lock file beside it; "
            "run it where the plan was made"
        )
    return found


def _survey(given: object) -> Survey:
    if not isinstance(given, Mapping):
        raise TypeError
    document = dict(cast("Mapping[str, Any]", given))
    digest = document.pop("digest")
    if document["format"] != FORMAT or digest != _digest(document):
        raise TypeError
    return Survey(
        base_url=document["base_url"],
        manifest=Path(document["manifest"]),
        lock=Path(document["lock"]),
        plans=tuple(Plan.from_dict(plan) for plan in document["plans"]),
        removals=tuple(Removal(**removal) for removal in document["remove"]),
        prune=document["prune"],
    )


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def check_still(mgmt: AsyncManagementClient, found: Survey) -> None:
    """Check that what is live is what the plan was made from, all of it, before anything is changed.

    Raises:
        DriftError: something moved; the text says what.
        InferenceKeyError: what the platform answered.
    """
    removals = found.removals if found.prune else ()
    live = await live_workloads(
        mgmt,
        {*(plan.project_slug for plan in found.plans), *(removal.project for removal in removals)},
    )
    moved = [
        error
        for plan in found.plans
        if (error := moved_error(plan, live[plan.project_slug].get(plan.workload_slug))) is not None
    ]
    if len(moved) == 1:
        raise moved[0]
    words = [error.detail.removesuffix(" Plan again.") for error in moved]
    lock = Lock.read(found.lock)
    for removal in removals:
        now = live[removal.project].get(removal.slug)
        if now is None or now.id != removal.id:
            words.append(f"{removal.slug!r}, which was to be removed, is gone or another one.")
        elif lock.ids(mgmt.base_url, removal.project).get(removal.slug) != removal.id:
            words.append(
                f"{removal.slug!r}, which was to be removed, is not recorded in {found.lock}."
            )
    if words:
        raise DriftError.of(f"{' '.join(words)} Plan again.", prefix="workloads drifted from plan")
