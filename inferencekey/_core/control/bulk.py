"""Many workloads in one call: the checks before any request, and the error if some fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from inferencekey._core.control.plans import check_plan
from inferencekey._core.control.specs import SECRET, resolve_project, spec_problems
from inferencekey._core.slugs import canonical_slug, checked_slug
from inferencekey.errors import (
    ApplyAllError,
    ConfigurationError,
    EnsureAllError,
    InferenceKeyError,
    ValidationError,
    WaitAllError,
)
from inferencekey.models import EndpointRef, Plan, ReadinessEvent, WorkloadSpec
from inferencekey.models.numbers import checked_integer

__all__ = [
    "Target",
    "apply_all_error",
    "check_all",
    "check_concurrency",
    "check_plans",
    "check_slugs",
    "ensure_all_error",
    "wait_all_error",
]

NAMED: Final = 8
"""The largest number of failed workloads that a message names."""


@attrs.frozen
class Target:
    """A spec that has passed its checks.

    Args:
        spec: the spec.
        slug: its canonical slug.
        project: the project that its workload is in.
    """

    spec: WorkloadSpec
    slug: str
    project: str


def check_all(specs: Iterable[WorkloadSpec], call: str | None, client: str | None) -> list[Target]:
    """Check every spec and resolve its project.

    Args:
        specs: the specs.
        call: the project of the call.
        client: the project of the client.

    Raises:
        ConfigurationError: a spec contains a credential; or the only problem is that the project is
            missing, or is given twice with different values.
        ValidationError: there is any other problem, or two specs describe the same workload. The
            message lists every problem.
    """
    if isinstance(cast("object", specs), (WorkloadSpec, str)):
        raise ValidationError.of(
            f"specs must be a list of WorkloadSpec; got {type(specs).__name__}"
        )
    if not isinstance(cast("object", specs), Iterable):
        raise ValidationError.of(
            f"specs must be a list of WorkloadSpec; got {type(specs).__name__}"
        )
    targets: list[Target] = []
    problems: list[_Problem] = []
    first_names: dict[tuple[str, str], str] = {}
    for number, spec in enumerate(specs):
        name = f"specs[{number}]"
        found = list(_problems(name, spec))
        if not found:
            try:
                target = Target(
                    spec, canonical_slug(spec.slug), resolve_project(call, spec.project, client)
                )
            except ConfigurationError as error:
                found = [_Problem(name, error.detail, ConfigurationError, str(error))]
            except ValidationError as error:
                found = [_Problem(name, error.detail)]
            else:
                first = first_names.setdefault((target.project, target.slug), name)
                if first == name:
                    targets.append(target)
                else:
                    workload = f"{target.slug!r} in project {target.project!r}"
                    found = [_Problem(name, f"is the same workload as {first}: {workload}")]
        problems += found
    if problems:
        raise _one_error(problems, "specs")
    return targets


def check_plans(plans: Iterable[Plan]) -> list[Plan]:
    """Check every plan.

    Raises:
        ValidationError: one of them cannot be applied, or two are for the same workload. The
            message lists every problem.
    """
    if isinstance(cast("object", plans), (Plan, str)):
        raise ValidationError.of(f"plans must be a list of Plan; got {type(plans).__name__}")
    if not isinstance(cast("object", plans), Iterable):
        raise ValidationError.of(f"plans must be a list of Plan; got {type(plans).__name__}")
    checked: list[Plan] = []
    problems: list[_Problem] = []
    first_names: dict[tuple[str, str], str] = {}
    for number, plan in enumerate(plans):
        name = f"plans[{number}]"
        try:
            check_plan(plan)
        except ValidationError as error:
            problems.append(_Problem(name, error.detail))
            continue
        checked.append(plan)
        first = first_names.setdefault((plan.project_slug, plan.workload_slug), name)
        if first != name:
            workload = f"{plan.workload_slug!r} in project {plan.project_slug!r}"
            problems.append(_Problem(name, f"is for the same workload as {first}: {workload}"))
    if problems:
        raise _one_error(problems, "plans")
    return checked


@attrs.frozen
class _Problem:
    name: str
    text: str
    kind: type[InferenceKeyError] = ValidationError
    whole: str = ""


def _problems(name: str, spec: object) -> Iterator[_Problem]:
    if not isinstance(spec, WorkloadSpec):
        yield _Problem(name, f"must be a WorkloadSpec; got {type(spec).__name__}")
        return
    for problem in spec_problems(spec):
        if problem.secret:
            raise ConfigurationError.of(SECRET)
        named = f"{name} ({spec.slug})" if canonical_slug(str(spec.slug)) == spec.slug else name
        yield _Problem(named, problem.message)


def _one_error(problems: Sequence[_Problem], argument: str) -> InferenceKeyError:
    kinds = {problem.kind for problem in problems}
    kind = kinds.pop() if len(kinds) == 1 else ValidationError
    if kind is ConfigurationError and len({problem.whole for problem in problems}) == 1:
        return kind(problems[0].whole)
    texts = [f"{problem.name}: {problem.text}" for problem in problems]
    if len(texts) == 1:
        return kind.of(texts[0])
    return kind.of(
        f"{len(texts)} problems in the {argument}:" + "".join(f"\n  - {text}" for text in texts)
    )


def check_slugs(slugs: Iterable[str]) -> list[str]:
    """Return the canonical slugs.

    Raises:
        ValidationError: one of them is not a slug, or *slugs* is a single string.
    """
    if isinstance(cast("object", slugs), str):
        raise ValidationError.of(f"slugs must be a list of strings; got the string {slugs!r}")
    if not isinstance(cast("object", slugs), Iterable):
        raise ValidationError.of(f"slugs must be a list of strings; got {type(slugs).__name__}")
    return [checked_slug(slug) for slug in slugs]


def check_concurrency(value: object) -> int:
    """Return the largest number of workloads that are handled at the same time.

    Raises:
        ValidationError: it is not an integer of at least 1.
    """
    return checked_integer(value, "max_concurrency", at_least=1)


def ensure_all_error(
    targets: Sequence[Target],
    errors: Sequence[Exception | None],
    results: Sequence[EndpointRef | None],
) -> EnsureAllError | None:
    """Return the error of ``ensure_all``, or ``None`` if nothing failed.

    Args:
        targets: every target, in order.
        errors: the error of each target, or ``None``.
        results: the result of each target, or ``None``.
    """
    failed = _failed(zip(_names([(one.project, one.slug) for one in targets]), errors, strict=True))
    if not failed:
        return None
    message = _message(failed, len(targets), "ensured")
    return EnsureAllError(message, list(failed.values()), results=results)


def apply_all_error(
    plans: Sequence[Plan],
    errors: Sequence[Exception | None],
    results: Sequence[EndpointRef | None],
) -> ApplyAllError | None:
    """Return the error of ``apply_all``, or ``None`` if nothing failed.

    Args:
        plans: every plan, in order.
        errors: the error of each plan, or ``None``.
        results: the result of each plan, or ``None``.
    """
    places = [(plan.project_slug, plan.workload_slug) for plan in plans]
    failed = _failed(zip(_names(places), errors, strict=True))
    if not failed:
        return None
    message = _message(failed, len(plans), "applied")
    return ApplyAllError(message, list(failed.values()), results=results)


def _names(places: Sequence[tuple[str, str]]) -> list[str]:
    """Return a name for each workload: its slug, after the project if there are several."""
    projects = {project for project, _ in places}
    if len(projects) == 1:
        return [slug for _, slug in places]
    return [f"{project}/{slug}" for project, slug in places]


def _message(failed: Mapping[str, Exception], count: int, done: str) -> str:
    left = count - len(failed)
    were = "was" if left == 1 else "were"
    return f"{len(failed)} of {count} workloads failed: {_named(failed)} ({left} {were} {done})"


def wait_all_error(
    errors: Mapping[str, Exception | None], results: Sequence[ReadinessEvent | None]
) -> WaitAllError | None:
    """Return the error of ``wait_all``, or ``None`` if nothing failed.

    Args:
        errors: the error of each slug, or ``None``.
        results: the last event of each requested slug, or ``None``.
    """
    failed = _failed(errors.items())
    if not failed:
        return None
    left = len(errors) - len(failed)
    head = f"{len(failed)} of {len(errors)} workloads {_are(len(failed))} not ready"
    message = f"{head}: {_named(failed)} ({left} {_are(left)} ready)"
    return WaitAllError(message, list(failed.values()), results=results)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _failed(errors: Iterable[tuple[str, Exception | None]]) -> dict[str, Exception]:
    failed = {name: error for name, error in errors if error is not None}
    for name, error in failed.items():
        cast("Any", error).workload = name
        error.add_note(f"workload {name!r}")
    return failed


def _named(failed: Mapping[str, Exception]) -> str:
    names = list(failed)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
