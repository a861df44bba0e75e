"""The exception tree: every error that this package raises on purpose.

Rules for every class:

* The message alone explains what happened and, if you can do something about it, what to do.
* An error that comes from a response has its ``status``, ``code``, ``request_id``, ``body`` (cut to
  a limit), ``retry_after`` and ``attempts``.
* A class owns the prefix of its messages: ``of`` puts it in front, ``detail`` leaves it out.
* Every error can be pickled, with the same class, message and attributes.
* No message, attribute or repr contains a credential. The code that makes an error removes them.
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
    """The base of every error that this package raises on purpose.

    Most attributes are ``None`` if the error does not come from a response.

    Attributes:
        status: the HTTP status of the response.
        code: the server's machine-readable code, e.g. ``"scope_insufficient"``.
        request_id: the response's ``x-request-id``.
        body: the response's body as text, at most 8 KiB.
        retry_after: the seconds to wait that the server asked for.
        attempts: how often the request was sent.
        prefix: the words at the beginning of the message; empty if it has none.
        workload: the slug of the workload, on a member of a :class:`ManyWorkloadsError` and on the
            errors of ``wait_until_ready``.
        outcome_unknown: whether the response to a change was lost and the platform could not be
            asked again: the change may have been made.
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
    outcome_unknown: bool = False

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
            detail: the message without the prefix.
            prefix: the prefix to use instead of the class's.
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

    @property
    def maybe_done(self) -> bool:
        """The earlier name of ``outcome_unknown``."""
        return self.outcome_unknown

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError, a base of the TimeoutError subclasses, has a __reduce__ of its own that would
        # lose the attributes.
        return type(self), (str(self),), self.__dict__.copy()


class ConfigurationError(InferenceKeyError):
    """Something is missing or contradictory, such as a project, a token or an option.

    It is raised before any request. Set the variable or pass the argument that the message names.
    """

    default_prefix = "configuration error"


class ValidationError(InferenceKeyError):
    """An argument is wrong, or the server responded with status 400 or 422.

    Correct the argument that the message names.
    """

    default_prefix = "validation error"


class DriftError(ValidationError):
    """The live workload differs from its spec under ``OnDrift.FAIL``, or from the plan to apply.

    Under ``OnDrift.FAIL``, change the spec or use another ``on_drift``. In ``apply``, make a new
    plan.

    Attributes:
        plan: what a reconcile would change now; ``None`` if that is not known, because ``apply``
            has no spec.
    """

    default_prefix = "workload drifted"

    plan: Plan | None

    def __init__(self, message: str = "", *, plan: Plan | None = None, **response: Any) -> None:
        super().__init__(message, **response)
        self.plan = plan


class AuthError(InferenceKeyError):
    """The server responded with status 401: the token is missing, unknown or revoked.

    Check the token; create a new one if it was revoked.
    """

    default_prefix = "authentication failed"


class PermissionDenied(InferenceKeyError):
    """The token does not allow the request (status 403), or is of the wrong kind.

    ``code`` is ``wrong_credential_type`` (use the other kind of token), ``project_scope_mismatch``
    (the token belongs to another project), ``scope_insufficient`` (create a token with the scope or
    the grant) or ``forbidden`` (see the message).
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
    """The platform responded with an error, or did not respond."""

    default_prefix = "api error"


class NotFoundError(ApiError):
    """The server responded with status 404. Check the slug and the project."""

    default_prefix = "not found"


class RateLimitError(ApiError):
    """The server responded with status 429, also to the retries.

    Wait for ``retry_after`` seconds, if it is set, or send fewer requests.
    """


class ServerError(ApiError):
    """The server responded with status 5xx, also to the retries, if the request allows any."""


class _HalfDone(InferenceKeyError):
    """The base of the errors that have the part of a text that had arrived.

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
        **response: Any,
    ) -> None:
        super().__init__(message, **response)
        self.partial_text = partial_text
        self.result = result


class GenerationFailed(_HalfDone, ApiError):
    """The engine stopped with an error after the response had begun.

    It sent an error inside a response with status 200 or inside a stream, or the ``finish_reason``
    ``"error"`` or ``"abort"``. The message has the engine's own words.

    Attributes:
        partial_text: the text that had arrived.
        result: the result built so far.
    """


class TransportError(ApiError):
    """There is no response: DNS failed, the connection was refused, reset or broken.

    Check the base URL and the network. The call was retried where that is safe.
    """

    default_prefix = "network error"


class RequestTimeout(TransportError, TimeoutError):
    """A deadline passed; also a ``TimeoutError``.

    It was the one for connecting, for the first byte, between two bytes, or for the whole call; the
    message names it. Raise it with ``timeout=``, or make the request smaller.
    """


class StreamInterrupted(_HalfDone, TransportError):
    """A stream ended without ``[DONE]`` and without a ``finish_reason``, so it is incomplete.

    Send the request again, or use the part that has arrived.

    Attributes:
        partial_text: the text that had arrived.
        result: the result built so far.
    """


class ResponseFormatError(ApiError):
    """The response is not what the platform's contract requires.

    It is not JSON, has another form, or lacks a field. Check that the base URL is the platform's.
    """

    default_prefix = "unexpected response"


LOG_HEADING = "\nThe end of its engine's log:"
"""Where the engine's log begins in the message of an error about readiness."""


class _NotReady(InferenceKeyError):
    """The base of the errors about a workload that is not ready.

    Attributes:
        events: the readiness events that were received, oldest first.
        log: the last lines of its engine's log, oldest first, if the platform offers them.
    """

    events: tuple[ReadinessEvent, ...]
    log: tuple[str, ...]

    def __init__(
        self,
        message: str = "",
        *,
        events: Sequence[ReadinessEvent] = (),
        log: Sequence[str] = (),
        **response: Any,
    ) -> None:
        super().__init__(message, **response)
        self.events = tuple(events)
        self.log = tuple(log)

    @property
    def summary(self) -> str:
        """The message without the lines of the engine's log, which ``log`` has."""
        return str(self).partition(LOG_HEADING)[0]


class ReadinessError(_NotReady, ApiError):
    """The workload reached the phase ``error`` instead of ``ready``.

    The message has the platform's reason and the end of the engine's log.

    Attributes:
        events: the readiness events that were received, oldest first.
        log: the last lines of its engine's log, oldest first, if the platform offers them.
    """


class ReadinessTimeout(_NotReady, ApiError, TimeoutError):
    """The workload was not ready before the caller's timeout; also a ``TimeoutError``.

    Wait longer with ``timeout=``, or see the last event in the message for what it waits for.

    Attributes:
        events: the readiness events that were received, oldest first.
        log: the last lines of its engine's log, oldest first, if the platform offers them.
    """


class ManyWorkloadsError(InferenceKeyError, ExceptionGroup[Exception]):
    """Some of many workloads failed, and the others were completed; also an ``ExceptionGroup``.

    Each member has the slug of its workload in ``.workload`` and in a note. ``except*`` selects
    members by class.

    Attributes:
        results: one for each workload, in order; ``None`` for a workload that failed.
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
        """Return the same error with other members; ``split`` and ``except*`` use it."""
        return type(self)(str(self), errors, results=self.results)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.exceptions), self.__dict__.copy()


class EnsureAllError(ManyWorkloadsError):
    """Some workloads of an ``ensure_all`` could not be ensured, and the others were.

    Attributes:
        results: the references, in the order of the specs; ``None`` for one that failed.
    """

    results: tuple[EndpointRef | None, ...]


class ApplyAllError(ManyWorkloadsError):
    """Some plans of an ``apply_all`` could not be applied, and the others were.

    Attributes:
        results: the references, in the order of the plans; ``None`` for one that failed.
    """

    results: tuple[EndpointRef | None, ...]


class WaitAllError(ManyWorkloadsError):
    """Some workloads of a ``wait_all`` did not become ready, and the others did.

    Attributes:
        results: the last events, in the order of the slugs; ``None`` for a workload that failed.
    """

    results: tuple[ReadinessEvent | None, ...]


class DeploymentError(InferenceKeyError):
    """The plan of a manifest was applied in part.

    Attributes:
        report: for each workload, what was done or why it was not done.
    """

    default_prefix = "not everything was done"

    report: Report | None

    def __init__(self, message: str = "", *, report: Report | None = None, **response: Any) -> None:
        super().__init__(message, **response)
        self.report = report


class InsecureTransportWarning(UserWarning):
    """A credential would cross a network over plain http. Issued once per host; use https."""


class WorkloadDriftWarning(UserWarning):
    """A live workload differs from its spec, under ``OnDrift.WARN``."""


class WorkloadLeftoverWarning(UserWarning):
    """``ensure`` may have left a duplicate, because the response to a create was lost.

    The duplicate may also belong to another caller, so it is not deleted. The message names it.
    """


class WorkloadSpecWarning(UserWarning):
    """A spec is valid but probably has a mistake, such as a mistyped backend."""
