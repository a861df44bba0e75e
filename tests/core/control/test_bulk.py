"""Many workloads: everything that is wrong at once, and who failed."""

from __future__ import annotations

from typing import Any

import pytest

from inferencekey._core.control.bulk import (
    Target,
    check_all,
    check_concurrency,
    check_slugs,
    ensure_all_error,
    wait_all_error,
)
from inferencekey.errors import (
    ConfigurationError,
    EnsureAllError,
    ServerError,
    ValidationError,
    WaitAllError,
)
from inferencekey.models import EndpointRef, Phase, ReadinessEvent, WorkloadSpec

SECRET = "ik_live_0a1b2c3d_" + "f" * 64


def spec(slug: str, **fields: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": slug, "slug": slug, "model": "m", "backend": "ollama", **fields})


def test_sound_specs_get_their_places_in_order() -> None:
    specs = [spec("B 2"), spec("a", project="other"), spec("a")]
    assert check_all(iter(specs), None, "acme") == [
        Target(specs[0], "b-2", "acme"),
        Target(specs[1], "a", "other"),
        Target(specs[2], "a", "acme"),
    ]
    assert check_all([], None, None) == []


def test_everything_that_is_wrong_is_said_at_once() -> None:
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
        "  - specs[5]: project='acme' was passed, but the spec has project='b'; remove one of them.",
        "  - specs[6]: project='acme' was passed, but the spec has project='b'; remove one of them.",
    ]


def test_one_thing_that_is_wrong_is_one_line() -> None:
    with pytest.raises(ValidationError) as caught:
        check_all([spec("a"), spec("b", model="")], None, "acme")
    assert str(caught.value) == "validation error: specs[1] (b): model must not be empty"


def test_a_project_that_cannot_stand_in_a_path() -> None:
    with pytest.raises(
        ValidationError, match=r"^validation error: specs\[0\]: project must be a slug"
    ):
        check_all([spec("a")], "../b", None)


def test_no_project_is_said_once() -> None:
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


def test_a_secret_goes_before_everything_else_and_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_all([spec("a", name=""), spec(SECRET, name="")], None, "acme")
    assert str(caught.value) == "configuration error: secrets must never go in specs"


@pytest.mark.parametrize("specs", [spec("a"), "abc"])
def test_one_spec_is_not_several(specs: Any) -> None:
    with pytest.raises(ValidationError, match="specs must be a list of WorkloadSpec; got"):
        check_all(specs, None, "acme")


def test_none_is_not_several() -> None:
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


def test_concurrency() -> None:
    assert check_concurrency(1) == 1
    for value in (0, -1, True, 1.5, "8", None):
        with pytest.raises(
            ValidationError, match="max_concurrency must be an integer of at least 1; got "
        ):
            check_concurrency(value)


REF = EndpointRef("acme", "x")
READY = ReadinessEvent(Phase.READY)


def test_who_failed() -> None:
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


def test_who_failed_where() -> None:
    targets = [Target(spec("bot"), "bot", project) for project in ("a", "b", "c")]
    error = ensure_all_error(targets, [None, ValueError("x"), None], [REF, None, REF])
    assert str(error) == "1 of 3 workloads failed: b/bot (2 were ensured)"


def test_many_failures_are_not_all_named_in_the_message() -> None:
    targets = [Target(spec(f"w{n}"), f"w{n}", "acme") for n in range(20)]
    error = ensure_all_error(targets, [ValueError("x") for _ in targets], [None] * 20)
    assert (
        str(error)
        == "20 of 20 workloads failed: w0, w1, w2, w3, w4, w5, w6, w7 and 12 more (0 were ensured)"
    )
    assert error is not None
    assert len(error.exceptions) == 20


def test_who_is_not_ready() -> None:
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
