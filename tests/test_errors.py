"""One exception tree, whose every member keeps what it knows, also through a pickle."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from inferencekey import errors, models
from inferencekey.errors import (
    ApiError,
    AuthError,
    ConfigurationError,
    DriftError,
    GenerationFailed,
    InferenceKeyError,
    InsecureTransportWarning,
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
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
)

TREE: list[tuple[type[InferenceKeyError], type[Exception]]] = [
    (InferenceKeyError, Exception),
    (ConfigurationError, InferenceKeyError),
    (ValidationError, InferenceKeyError),
    (DriftError, ValidationError),
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
WARNINGS = [InsecureTransportWarning, WorkloadDriftWarning, WorkloadLeftoverWarning]

RESULT = models.TextResult("Ho", "m", raw={"a": 1}, usage=models.Usage(1))
EVENTS = (models.ReadinessEvent(models.Phase.SCHEDULING, "m", 5), models.ReadinessEvent("new"))
OWN: dict[type[InferenceKeyError], dict[str, Any]] = {
    DriftError: {
        "plan": models.Plan("update", (models.FieldDiff("config", {"a": 1}, {"a": 2}),), "acme", "bot", "w-1")
    },
    GenerationFailed: {"partial_text": "Ho", "result": RESULT},
    StreamInterrupted: {"partial_text": "Ho", "result": RESULT},
    ReadinessError: {"events": EVENTS},
    ReadinessTimeout: {"events": EVENTS},
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
    there = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BaseException)}
    assert there == {*KINDS, *WARNINGS}
    assert sorted(errors.__all__) == sorted(kind.__name__ for kind in there)


@pytest.mark.parametrize(("kind", "parent"), TREE)
def test_the_tree(kind: type[InferenceKeyError], parent: type[Exception]) -> None:
    assert kind.__bases__[0] is parent
    assert kind.__doc__


def test_timeouts_are_also_the_builtin_one() -> None:
    assert {kind for kind in KINDS if issubclass(kind, TimeoutError)} == {RequestTimeout, ReadinessTimeout}
    with pytest.raises(TimeoutError, match="it broke"):
        raise full(RequestTimeout)


@pytest.mark.parametrize("kind", WARNINGS)
def test_a_warning_is_no_error(kind: type[Warning]) -> None:
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
def test_what_was_not_given_is_none(kind: type[InferenceKeyError]) -> None:
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
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(twin) is kind
        assert str(twin) == "it broke"
        assert twin.args == error.args
        assert vars(twin) == vars(error)
        assert twin.__notes__ == ["a note"]


def test_events_become_a_tuple() -> None:
    assert ReadinessError("x", events=list(EVENTS)).events == EVENTS


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_kept_as_it_is(kind: type[InferenceKeyError]) -> None:
    # OSError, behind the built-in TimeoutError, would make an errno of some arguments.
    for text in ("2", "", "a\nb", "%s {}"):
        assert str(kind(text)) == text
