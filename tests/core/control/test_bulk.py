"""Many workloads in one call: their checks, and the errors that name those that failed."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from inferencekey._core.control.bulk import (
    Target,
    apply_all_error,
    check_all,
    check_concurrency,
    check_plans,
    check_slugs,
    ensure_all_error,
    wait_all_error,
)
from inferencekey._core.control.plans import make_plan
from inferencekey.errors import (
    ApplyAllError,
    ConfigurationError,
    EnsureAllError,
    ServerError,
    ValidationError,
    WaitAllError,
)
from inferencekey.models import EndpointRef, Phase, Plan, ReadinessEvent, WorkloadSpec

SECRET = "ik_live_0a1b2c3d_" + "f" * 64


def spec(slug: str, **fields: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": slug, "slug": slug, "model": "m", "backend": "ollama", **fields})


def test_valid_specs_have_their_projects_in_order() -> None:
    specs = [spec("B 2"), spec("a", project="other"), spec("a")]
    assert check_all(iter(specs), None, "acme") == [
        Target(specs[0], "b-2", "acme"),
        Target(specs[1], "a", "other"),
        Target(specs[2], "a", "acme"),
    ]
    assert check_all([], None, None) == []


def test_one_message_has_every_problem() -> None:
    specs: list[Any] = [
        spec("fine"),
        spec("billing", name="", model=" "),
        5,
        spec("---"),
        spec("Fine"),
        spec("mail", project="b"),
        spec("mail", project="b"),
    ]
    with pytest.raises(ValidationError) as caught:
        check_all(specs, "acme", None)
    assert str(caught.value).split("\n") == [
        "validation error: 7 problems in the specs:",
        "  - specs[1] (billing): name must not be empty",
        "  - specs[1] (billing): model must not be empty",
        "  - specs[2]: must be a WorkloadSpec; got int",
        "  - specs[3]: slug must contain a letter (a to z) or a digit; got '---'",
        "  - specs[4]: is the same workload as specs[0]: 'fine' in project 'acme'",
        "  - specs[5]: project='acme' was passed, but the spec has project='b'; remove one of "
        "them.",
        "  - specs[6]: project='acme' was passed, but the spec has project='b'; remove one of "
        "them.",
    ]


def test_a_single_problem_is_one_line() -> None:
    with pytest.raises(ValidationError) as caught:
        check_all([spec("a"), spec("b", model="")], None, "acme")
    assert str(caught.value) == "validation error: specs[1] (b): model must not be empty"


def test_rejects_a_project_that_cannot_be_part_of_a_path() -> None:
    with pytest.raises(
        ValidationError, match=r"^validation error: specs\[0\]: project must be a slug"
    ):
        check_all([spec("a")], "../b", None)


def test_a_missing_project_is_reported_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_all([spec("a"), spec("b")], None, None)
    assert str(caught.value) == (
        "No project configured. Set INFERENCEKEY_PROJECT, pass project=, or set spec.project."
    )
    with pytest.raises(
        ConfigurationError,
        match=r"specs\[1\]: project='a' was passed.*\n.*specs\[2\]: .*project='c'",
    ):
        check_all([spec("a"), spec("b", project="b"), spec("c", project="c")], "a", None)


def test_a_secret_is_reported_first_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_all([spec("a", name=""), spec(SECRET, name="")], None, "acme")
    assert str(caught.value) == "configuration error: secrets must never go in specs"


@pytest.mark.parametrize("specs", [spec("a"), "abc"])
def test_rejects_a_single_spec_as_a_list(specs: Any) -> None:
    with pytest.raises(ValidationError, match="specs must be a list of WorkloadSpec; got"):
        check_all(specs, None, "acme")


def test_rejects_none_as_a_list() -> None:
    nothing: Any = None
    with pytest.raises(ValidationError, match="specs must be a list of WorkloadSpec; got NoneType"):
        check_all(nothing, None, "acme")
    with pytest.raises(ValidationError, match="slugs must be a list of strings; got NoneType"):
        check_slugs(nothing)


def test_slugs() -> None:
    assert check_slugs(iter(["Support Bot", "b", "b"])) == ["support-bot", "b", "b"]
    with pytest.raises(
        ValidationError, match="slugs must be a list of strings; got the string 'abc'"
    ):
        check_slugs("abc")
    with pytest.raises(ValidationError, match="slug must contain a letter"):
        check_slugs(["a", "--"])


def plan(slug: str, project: str = "acme") -> Plan:
    return make_plan(spec(slug), None, project=project)


def test_plans_that_can_be_applied_keep_their_order() -> None:
    plans = [plan("b"), plan("a"), plan("a", "other")]
    assert check_plans(iter(plans)) == plans


def test_every_problem_of_plans_is_in_one_message() -> None:
    given: list[Any] = [plan("a"), 5, plan("a"), attrs.evolve(plan("b"), workload_slug="c")]
    with pytest.raises(ValidationError) as caught:
        check_plans(given)
    assert str(caught.value).split("\n") == [
        "validation error: 3 problems in the plans:",
        "  - plans[1]: plan must be a Plan; got int",
        "  - plans[2]: is for the same workload as plans[0]: 'a' in project 'acme'",
        "  - plans[3]: cannot apply this plan: it creates 'b' but was made for 'c'; "
        "make a new one with plan(spec)",
    ]


@pytest.mark.parametrize("plans", [plan("a"), "abc", None])
def test_rejects_plans_that_are_not_a_list_of_plans(plans: Any) -> None:
    with pytest.raises(ValidationError, match="plans must be a list of Plan; got"):
        check_plans(plans)


def test_concurrency() -> None:
    assert check_concurrency(1) == 1
    for value in (0, -1, True, 1.5, "8", None):
        with pytest.raises(
            ValidationError, match="max_concurrency must be an integer of at least 1; got "
        ):
            check_concurrency(value)


REF = EndpointRef("acme", "x")
READY = ReadinessEvent(Phase.READY)


def test_the_error_of_specs_names_those_that_failed() -> None:
    targets = [Target(spec(slug), slug, "acme") for slug in ("billing", "mail", "search")]
    assert ensure_all_error(targets, [None] * 3, [REF] * 3) is None
    one, other = ServerError("api error: a"), ValueError("b")
    error = ensure_all_error(targets, [one, None, other], [None, REF, None])
    assert isinstance(error, EnsureAllError)
    assert str(error) == "2 of 3 workloads failed: billing, search (1 was ensured)"
    assert error.exceptions == (one, other)
    assert error.results == (None, REF, None)
    assert [one.workload, other.workload] == ["billing", "search"]  # type: ignore[attr-defined]
    assert [one.__notes__, other.__notes__] == [["workload 'billing'"], ["workload 'search'"]]


def test_failures_in_several_projects_are_named_with_their_project() -> None:
    targets = [Target(spec("bot"), "bot", project) for project in ("a", "b", "c")]
    error = ensure_all_error(targets, [None, ValueError("x"), None], [REF, None, REF])
    assert str(error) == "1 of 3 workloads failed: b/bot (2 were ensured)"


def test_the_error_of_plans_names_those_that_failed() -> None:
    plans = [plan("a"), plan("b", "other")]
    assert apply_all_error(plans, [None, None], [REF, REF]) is None
    error = apply_all_error(plans, [None, ServerError("api error: b")], [REF, None])
    assert isinstance(error, ApplyAllError)
    assert str(error) == "1 of 2 workloads failed: other/b (1 was applied)"
    assert error.results == (REF, None)


def test_many_failures_are_not_all_named_in_the_message() -> None:
    targets = [Target(spec(f"w{n}"), f"w{n}", "acme") for n in range(20)]
    error = ensure_all_error(targets, [ValueError("x") for _ in targets], [None] * 20)
    assert (
        str(error)
        == "20 of 20 workloads failed: w0, w1, w2, w3, w4, w5, w6, w7 and 12 more (0 were ensured)"
    )
    assert error is not None
    assert len(error.exceptions) == 20


def test_the_error_of_waits_names_those_that_are_not_ready() -> None:
    assert wait_all_error({"a": None}, [READY]) is None
    error = wait_all_error({"a": None, "b": ValueError("x")}, [READY, None, READY])
    assert isinstance(error, WaitAllError)
    assert str(error) == "1 of 2 workloads is not ready: b (1 is ready)"
    assert error.results == (READY, None, READY)
    error = wait_all_error(
        {"a": ValueError("y"), "b": ValueError("x"), "c": None, "d": None},
        [None, None, READY, READY],
    )
    assert str(error) == "2 of 4 workloads are not ready: a, b (2 are ready)"
