"""The exception tree: every error keeps its attributes, also when it is pickled."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest

from inferencekey import errors, models
from inferencekey.deploy import ApplyProgress, ApplyStatus, Report
from inferencekey.errors import (
    ApiError,
    ApplyAllError,
    AuthError,
    ConfigurationError,
    DeploymentError,
    DriftError,
    EnsureAllError,
    GenerationFailed,
    InferenceKeyError,
    InsecureTransportWarning,
    ManyWorkloadsError,
    NotFoundError,
    PermissionDenied,
    RateLimitError,
    ReadinessError,
    ReadinessTimeout,
    RequestTimeout,
    ResponseFormatError,
    ServerError,
    StreamInterrupted,
    TransportError,
    ValidationError,
    WaitAllError,
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
    WorkloadSpecWarning,
)

TREE: list[tuple[type[InferenceKeyError], type[Exception]]] = [
    (InferenceKeyError, Exception),
    (ConfigurationError, InferenceKeyError),
    (ValidationError, InferenceKeyError),
    (DriftError, ValidationError),
    (DeploymentError, InferenceKeyError),
    (AuthError, InferenceKeyError),
    (PermissionDenied, InferenceKeyError),
    (ApiError, InferenceKeyError),
    (NotFoundError, ApiError),
    (RateLimitError, ApiError),
    (ServerError, ApiError),
    (GenerationFailed, ApiError),
    (TransportError, ApiError),
    (RequestTimeout, TransportError),
    (StreamInterrupted, TransportError),
    (ResponseFormatError, ApiError),
    (ReadinessError, ApiError),
    (ReadinessTimeout, ApiError),
]
KINDS = [kind for kind, _ in TREE]
GROUPS: list[type[ManyWorkloadsError]] = [
    ManyWorkloadsError,
    EnsureAllError,
    ApplyAllError,
    WaitAllError,
]
WARNINGS = [
    InsecureTransportWarning,
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
    WorkloadSpecWarning,
]

FAILED_STEP = ApplyProgress(action="create", project="acme", slug="bot", status=ApplyStatus.FAILED)
RESULT = models.TextResult("Ho", "m", raw={"a": 1}, usage=models.Usage(1))
EVENTS = (models.ReadinessEvent(models.Phase.SCHEDULING, "m", 5), models.ReadinessEvent("new"))
OWN: dict[type[InferenceKeyError], dict[str, Any]] = {
    DriftError: {
        "plan": models.Plan(
            "update", (models.FieldDiff("config", {"a": 1}, {"a": 2}),), "acme", "bot", "w-1"
        )
    },
    DeploymentError: {"report": Report(failed=(FAILED_STEP,), unchanged=1)},
    GenerationFailed: {"partial_text": "Ho", "result": RESULT},
    StreamInterrupted: {"partial_text": "Ho", "result": RESULT},
    ReadinessError: {"events": EVENTS, "log": ("a", "b")},
    ReadinessTimeout: {"events": EVENTS, "log": ("a", "b")},
}
ANSWER: dict[str, Any] = {
    "status": 503,
    "code": "c",
    "request_id": "r-1",
    "body": "{}",
    "retry_after": 1.5,
    "attempts": 3,
}


def full(kind: type[InferenceKeyError]) -> InferenceKeyError:
    return kind("it broke", **OWN.get(kind, {}), **ANSWER)


def test_the_tree_is_whole() -> None:
    there = {
        value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, BaseException) and not name.startswith("_")
    }
    assert there == {*KINDS, *GROUPS, *WARNINGS}
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in there)


@pytest.mark.parametrize(("kind", "parent"), TREE)
def test_the_tree(kind: type[InferenceKeyError], parent: type[Exception]) -> None:
    public = [base for base in kind.__bases__ if not base.__name__.startswith("_")]
    assert public[0] is parent
    assert kind.__doc__


def test_timeouts_are_also_the_builtin_one() -> None:
    assert {kind for kind in KINDS if issubclass(kind, TimeoutError)} == {
        RequestTimeout,
        ReadinessTimeout,
    }
    with pytest.raises(TimeoutError, match="it broke"):
        raise full(RequestTimeout)


@pytest.mark.parametrize("kind", WARNINGS)
def test_a_warning_is_not_an_error(kind: type[Warning]) -> None:
    assert issubclass(kind, UserWarning)
    assert not issubclass(kind, InferenceKeyError)


@pytest.mark.parametrize("kind", KINDS)
def test_attributes(kind: type[InferenceKeyError]) -> None:
    error = full(kind)
    assert str(error) == "it broke"
    assert {name: getattr(error, name) for name in ANSWER} == ANSWER
    for name, value in OWN.get(kind, {}).items():
        assert getattr(error, name) == value


@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_that_was_not_given_is_none(kind: type[InferenceKeyError]) -> None:
    for error in (kind("it broke"), kind()):
        assert {getattr(error, name) for name in ANSWER} == {None}
        for name in OWN.get(kind, {}):
            assert getattr(error, name) in (None, "", ())
    assert str(kind()) == ""
    assert repr(kind("it broke")) == f"{kind.__name__}('it broke')"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_everything_pickles(kind: type[InferenceKeyError], protocol: int) -> None:
    error = full(kind)
    error.add_note("a note")
    for twin in (
        pickle.loads(pickle.dumps(error, protocol)),
        copy.copy(error),
        copy.deepcopy(error),
    ):
        assert type(twin) is kind
        assert str(twin) == "it broke"
        assert twin.args == error.args
        assert vars(twin) == vars(error)
        assert twin.__notes__ == ["a note"]


def test_events_and_lines_become_tuples() -> None:
    error = ReadinessError("x", events=list(EVENTS), log=["a"])
    assert (error.events, error.log) == (EVENTS, ("a",))


def group(kind: type[ManyWorkloadsError]) -> ManyWorkloadsError:
    members = [full(ServerError), full(AuthError), RuntimeError("a bug")]
    for member, slug in zip(members, ("billing", "search", "mail"), strict=True):
        member.workload = slug  # type: ignore[attr-defined, union-attr]
        member.add_note(f"workload {slug!r}")
    return kind("3 of 4 failed", members, results=[None, None, None, "ref"])


@pytest.mark.parametrize("kind", GROUPS)
def test_a_group_is_an_error_of_ours_and_a_group(kind: type[ManyWorkloadsError]) -> None:
    error = group(kind)
    assert isinstance(error, InferenceKeyError)
    assert isinstance(error, ExceptionGroup)
    assert (str(error), error.message) == ("3 of 4 failed", "3 of 4 failed")
    assert error.results == (None, None, None, "ref")
    workloads = [getattr(member, "workload", None) for member in error.exceptions]
    assert workloads == ["billing", "search", "mail"]
    assert (error.status, error.workload) == (None, None)
    with pytest.raises(ValueError, match="non-empty"):
        kind("nothing failed", [])


@pytest.mark.parametrize("kind", GROUPS)
def test_parts_of_a_group_are_groups_of_its_kind(kind: type[ManyWorkloadsError]) -> None:
    error = group(kind)
    error.add_note("a note")
    ours, rest = error.split((ServerError, AuthError))
    assert isinstance(ours, kind)
    assert isinstance(rest, kind)
    assert (len(ours.exceptions), len(rest.exceptions)) == (2, 1)
    assert ours.results == rest.results == error.results
    assert ours.__notes__ == ["a note"]
    caught: list[BaseExceptionGroup[Any]] = []
    with pytest.raises(kind) as left:
        try:
            raise error
        except* AuthError as part:
            caught.append(part)
    assert [type(part) for part in caught] == [kind]
    assert [type(member) for member in left.value.exceptions] == [ServerError, RuntimeError]


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_group_pickles_with_its_members(kind: type[ManyWorkloadsError], protocol: int) -> None:
    error = group(kind)
    error.add_note("a note")
    for twin in (
        pickle.loads(pickle.dumps(error, protocol)),
        copy.copy(error),
        copy.deepcopy(error),
    ):
        assert type(twin) is kind
        assert (str(twin), twin.results, twin.__notes__) == (
            "3 of 4 failed",
            error.results,
            ["a note"],
        )
        assert [(type(m), str(m), m.workload, m.__notes__) for m in twin.exceptions] == [
            (type(m), str(m), m.workload, m.__notes__)  # type: ignore[attr-defined]
            for m in error.exceptions
        ]


def test_a_traceback_names_the_workload_of_each_member() -> None:
    text = "".join(traceback.format_exception(group(EnsureAllError)))
    assert "EnsureAllError: 3 of 4 failed" in text
    assert "workload 'billing'" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_kept_as_it_is(kind: type[InferenceKeyError]) -> None:
    # OSError, behind the built-in TimeoutError, would make an errno of some arguments.
    for text in ("2", "", "a\nb", "%s {}"):
        assert str(kind(text)) == text


def test_maybe_done_is_an_alias_of_outcome_unknown() -> None:
    error = ApiError("x")
    assert not error.maybe_done
    error.outcome_unknown = True
    assert error.maybe_done
    assert pickle.loads(pickle.dumps(error)).maybe_done
