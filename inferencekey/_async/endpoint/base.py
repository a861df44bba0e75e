"""What every modality of an endpoint is built on: where the workload is, and how a request is sent to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from inferencekey._core.deadlines import for_unary
from inferencekey._core.json import dumps
from inferencekey._http.credential import Credential
from inferencekey._http.responses import ByteStream
from inferencekey._http.transport import Answer, Transport, idempotency_key
from inferencekey.errors import InferenceKeyError
from inferencekey.models import Timeouts

__all__ = ["BaseEndpoint"]

P = ParamSpec("P")
T = TypeVar("T")


class BaseEndpoint:
    """One workload of one project, and the key it is called with.

    Args:
        transport: sends the requests.
        project: the project the workload lives in.
        workload: the workload's canonical slug.
        credential: the data key.
    """

    def __init__(
        self, transport: Transport, project: str, workload: str, credential: Credential
    ) -> None:
        self._transport = transport
        self._project = project
        self._workload = workload
        self._credential = credential
        self._path = f"/endpoint/{quote(project, safe='')}/{workload}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.project_slug!r}, {self.workload_slug!r})"

    @property
    def project_slug(self) -> str:
        """The project the workload lives in."""
        return self._project

    @property
    def workload_slug(self) -> str:
        """The workload's canonical slug."""
        return self._workload

    async def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        extra_body: Mapping[str, Any] | None = None,
        timeout: Timeouts | float | None = None,
    ) -> Answer:
        """Send a JSON body and return the whole response. The keywords are those of ``CallOptions``."""
        if extra_body:
            body = {**body, **extra_body}
        return await self._transport.request(
            "POST",
            self._path + path,
            self._credential,
            for_unary(timeout, self._transport.timeout),
            body=dumps(body),
            key=idempotency_key(),
        )

    def _connector(
        self, path: str, body: Mapping[str, Any], timeouts: Timeouts
    ) -> Callable[[], Awaitable[ByteStream]]:
        """Return the function that sends a JSON body and opens the streamed response."""
        # Serialised here and not on opening: a body that cannot be sent raises at the call.
        data = dumps(body)

        async def connect() -> ByteStream:
            return await self._transport.stream(
                "POST",
                self._path + path,
                self._credential,
                timeouts,
                body=data,
                key=idempotency_key(),
            )

        return connect

    def _result(
        self,
        answer: Answer,
        read: Callable[Concatenate[bytes, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what *read* makes of a response's body; its errors carry what the response carried."""
        # Not a context manager: one costs eight calls more, and every call of an endpoint comes by.
        try:
            return read(answer.body, *args, **kwargs)
        except InferenceKeyError as error:
            answer.tell(error)
            self._credential.scrub(error)
            raise
