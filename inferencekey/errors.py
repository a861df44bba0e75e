"""The one exception tree.

Rules that hold for every class here:

* the message alone says what happened and, where there is something to do, what to do;
* what an answer carried is kept: ``status``, ``code``, ``request_id``, ``body`` (bounded), ``retry_after``, ``attempts``;
* a class owns the words that its messages begin with: ``of`` puts them in front, ``detail`` is the message without them;
* everything pickles, with the same class, text and attributes;
* no message, attribute or repr holds a credential (whoever builds an error scrubs its texts first).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from inferencekey.deploy import Report
    from inferencekey.models import EndpointRef, Plan, ReadinessEvent, TextResult

__all__ = [
    "ApiError",
    "ApplyAllError",
    "AuthError",
    "ConfigurationError",
    "DeploymentError",
    "DriftError",
    "EnsureAllError",
    "GenerationFailed",
    "InferenceKeyError",
    "InsecureTransportWarning",
    "ManyWorkloadsError",
    "NotFoundError",
    "PermissionDenied",
    "RateLimitError",
    "ReadinessError",
    "ReadinessTimeout",
    "RequestTimeout",
    "ResponseFormatError",
    "ServerError",
    "StreamInterrupted",
    "TransportError",
    "ValidationError",
    "WaitAllError",
    "WorkloadDriftWarning",
    "WorkloadLeftoverWarning",
    "WorkloadSpecWarning",
]


class InferenceKeyError(Exception):
    """Base of every error this package raises on purpose.

    Attributes (``None`` where the error did not come from an answer):
        status: HTTP status of the answer.
        code: the server's machine-readable code, e.g. ``"scope_insufficient"``.
        request_id: the answer's ``x-request-id``.
        body: the answer's body as text, cut to a bounded length.
        retry_after: seconds the server asked to wait.
        attempts: how many times the request was sent or tried.
        prefix: the words that the message begins with; empty where it was made without them.
        workload: the slug it is about, on a member of a :class:`ManyWorkloadsError` and on what ``wait_until_ready`` raises.
        maybe_done: whether the answer to a change was lost and nobody could be asked: it may have been made.
    """

    default_prefix: ClassVar[str] = ""

    status: int | None
    code: str | None
    request_id: str | None
    body: str | None
    retry_after: float | None
    attempts: int | None
    prefix: str = ""
    workload: str | None = None
    maybe_done: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        body: str | None = None,
        retry_after: float | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.body = body
        self.retry_after = retry_after
        self.attempts = attempts

    @classmethod
    def of(cls, detail: str, *, prefix: str | None = None, **fields: Any) -> Self:
        """Return an error whose message begins with the prefix of its class.

        Args:
            detail: what happened, without the prefix.
            prefix: another prefix, instead of the class's.
            fields: the constructor's other arguments.
        """
        if prefix is None:
            prefix = cls.default_prefix
        error = cls(f"{prefix}: {detail}", **fields)
        error.prefix = prefix
        return error

    @property
    def detail(self) -> str:
        """The message without its prefix."""
        return str(self).removeprefix(f"{self.prefix}: ") if self.prefix else str(self)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError (behind the TimeoutError subclasses) has a __reduce__ of its own; one rule for the whole tree.
        return type(self), (str(self),), self.__dict__.copy()


class ConfigurationError(InferenceKeyError):
    """Something is missing or contradictory before any request: a project, a token, the kind of a token, an option."""

    default_prefix = "configuration error"


class ValidationError(InferenceKeyError):
    """An argument is wrong, or the server answered 400 or 422."""

    default_prefix = "validation error"


class DriftError(ValidationError):
    """The live workload differs from its spec, and ``OnDrift.FAIL`` was asked for; or it is no longer what the plan to be
    applied was made from.

    Attributes:
        plan: what a reconcile would change now; ``None`` where that takes the spec, which ``apply`` has not.
    """

    default_prefix = "workload drifted"

    plan: Plan | None

    def __init__(self, message: str = "", *, plan: Plan | None = None, **answer: Any) -> None:
        super().__init__(message, **answer)
        self.plan = plan


class AuthError(InferenceKeyError):
    """The server answered 401: the token is missing, unknown or revoked."""

    default_prefix = "authentication failed"


class PermissionDenied(InferenceKeyError):
    """The token is known but may not do this (403), or is of the wrong kind.

    ``code`` is ``wrong_credential_type``, ``project_scope_mismatch``, ``scope_insufficient`` or ``forbidden``.
    """

    default_prefix = "permission denied"

    @classmethod
    def of(cls, detail: str, *, prefix: str | None = None, **fields: Any) -> Self:
        """Return an error whose message begins with the prefix and its code, in brackets."""
        code = fields.get("code")
        if prefix is None and code:
            prefix = f"{cls.default_prefix} [{code}]"
        return super().of(detail, prefix=prefix, **fields)


class ApiError(InferenceKeyError):
    """The platform answered with an error, or did not answer."""

    default_prefix = "api error"


class NotFoundError(ApiError):
    """The server answered 404."""

    default_prefix = "not found"


class RateLimitError(ApiError):
    """The server answered 429; ``retry_after`` is in seconds where it said so."""


class ServerError(ApiError):
    """The server answered 5xx."""


class _HalfDone(InferenceKeyError):
    """What was under way keeps what had arrived.

    Attributes:
        partial_text: the text that had arrived.
        result: the result built so far.
    """

    partial_text: str
    result: TextResult | None

    def __init__(
        self,
        message: str = "",
        *,
        partial_text: str = "",
        result: TextResult | None = None,
        **answer: Any,
    ) -> None:
        super().__init__(message, **answer)
        self.partial_text = partial_text
        self.result = result


class GenerationFailed(_HalfDone, ApiError):
    """The engine gave up in the middle of an answer (``finish_reason`` ``"error"`` or ``"abort"``, or an in-band error).

    Attributes:
        partial_text: the text that had arrived.
        result: the result built so far.
    """


class TransportError(ApiError):
    """No answer: DNS, refused, reset, or a broken connection."""

    default_prefix = "network error"


class RequestTimeout(TransportError, TimeoutError):
    """A deadline passed: connecting, the first byte, a silence between bytes, or the whole call. Also a ``TimeoutError``."""


class StreamInterrupted(_HalfDone, TransportError):
    """A stream ended without ``[DONE]`` and without a ``finish_reason``: the answer is not whole.

    Attributes:
        partial_text: the text that had arrived.
        result: the result built so far.
    """


class ResponseFormatError(ApiError):
    """The server answered something that is not what its contract says: not JSON, the wrong shape, a field missing."""

    default_prefix = "unexpected response"


LOG_HEADING = "\nThe end of its engine's log:"
"""Where the engine's log begins in the message of an error about readiness."""


class _NotReady(InferenceKeyError):
    """What was heard of a workload before it was given up.

    Attributes:
        events: the readiness events seen, oldest first.
        log: the last lines of its engine's log, oldest first, where the platform offers them.
    """

    events: tuple[ReadinessEvent, ...]
    log: tuple[str, ...]

    def __init__(
        self,
        message: str = "",
        *,
        events: Sequence[ReadinessEvent] = (),
        log: Sequence[str] = (),
        **answer: Any,
    ) -> None:
        super().__init__(message, **answer)
        self.events = tuple(events)
        self.log = tuple(log)

    @property
    def summary(self) -> str:
        """The message without the lines of the engine's log, which ``log`` has."""
        return str(self).partition(LOG_HEADING)[0]


class ReadinessError(_NotReady, ApiError):
    """The workload reached the phase ``error`` instead of ``ready``.

    Attributes:
        events: the readiness events seen, oldest first.
        log: the last lines of its engine's log, oldest first, where the platform offers them.
    """


class ReadinessTimeout(_NotReady, ApiError, TimeoutError):
    """The workload was not ready within the caller's timeout. Also a ``TimeoutError``.

    Attributes:
        events: the readiness events seen, oldest first.
        log: the last lines of its engine's log, oldest first, where the platform offers them.
    """


class ManyWorkloadsError(InferenceKeyError, ExceptionGroup[Exception]):
    """Some of many workloads failed; the others were carried to their end. Also an ``ExceptionGroup``.

    Each member says whose it is in ``.workload`` and in a note. ``except*`` picks members by class.

    Attributes:
        results: one for each workload asked for, in order; ``None`` where it failed.
    """

    results: tuple[Any, ...]

    def __new__(
        cls, message: str, errors: Sequence[Exception], *, results: Sequence[Any] = ()
    ) -> Self:
        return super().__new__(cls, message, errors)

    def __init__(
        self, message: str, errors: Sequence[Exception], *, results: Sequence[Any] = ()
    ) -> None:
        super().__init__(message)
        self.results = tuple(results)

    def derive(self, errors: Sequence[Exception], /) -> Self:  # type: ignore[override]
        """Return the same error with other members: what ``split`` and ``except*`` make their parts with."""
        return type(self)(str(self), errors, results=self.results)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.exceptions), self.__dict__.copy()


class EnsureAllError(ManyWorkloadsError):
    """``ensure_all``: some workloads could not be ensured, the others were.

    Attributes:
        results: the handles, in the order of the specs; ``None`` where it failed.
    """

    results: tuple[EndpointRef | None, ...]


class ApplyAllError(ManyWorkloadsError):
    """``apply_all``: some plans could not be applied, the others were.

    Attributes:
        results: the handles, in the order of the plans; ``None`` where it failed.
    """

    results: tuple[EndpointRef | None, ...]


class WaitAllError(ManyWorkloadsError):
    """``wait_all``: some workloads did not become ready, the others did.

    Attributes:
        results: the last events, in the order of the slugs; ``None`` where it failed.
    """

    results: tuple[ReadinessEvent | None, ...]


class DeploymentError(InferenceKeyError):
    """An apply of a manifest's plan carried out some of its steps and not all.

    Attributes:
        report: what was done with each workload, and why some of it was not.
    """

    default_prefix = "not everything was done"

    report: Report | None

    def __init__(self, message: str = "", *, report: Report | None = None, **response: Any) -> None:
        super().__init__(message, **response)
        self.report = report


class InsecureTransportWarning(UserWarning):
    """Issued once per host when a credential would cross a network over plain http."""


class WorkloadDriftWarning(UserWarning):
    """Issued under ``OnDrift.WARN`` when a live workload differs from its spec."""


class WorkloadLeftoverWarning(UserWarning):
    """Issued when an answer was lost on the way and ``ensure`` may have left a duplicate that it cannot tell for its own."""


class WorkloadSpecWarning(UserWarning):
    """Issued when a spec is valid but probably not meant: a command of another backend, a mistyped backend."""
