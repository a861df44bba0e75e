"""The base of every modality: the address of a workload, and how a request is sent to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from inferencekey._core.deadlines import for_unary
from inferencekey._core.json import dumps
from inferencekey._http.credential import Credential
from inferencekey._http.request import Request
from inferencekey._http.responses import Response, ResponseStream, annotate
from inferencekey._http.transport import Transport, idempotency_key
from inferencekey.errors import InferenceKeyError
from inferencekey.models import Timeouts

__all__ = ["BaseEndpoint"]

P = ParamSpec("P")
T = TypeVar("T")


class BaseEndpoint:
    """One workload of one project, and the data key for it.

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
    ) -> Response:
        """Send a JSON body and return the whole response.

        The keywords are those of ``CallOptions``.
        """
        if extra_body:
            body = {**body, **extra_body}
        return await self._transport.request(
            Request(
                "POST",
                self._path + path,
                self._credential,
                for_unary(timeout, self._transport.timeout),
                body=dumps(body),
                idempotency_key=idempotency_key(),
            )
        )

    def _connector(
        self, path: str, body: Mapping[str, Any], timeouts: Timeouts
    ) -> Callable[[], Awaitable[ResponseStream]]:
        """Return the function that sends a JSON body and opens the streamed response."""
        # The body is serialised now, so that one that cannot be sent raises at the call.
        request = Request(
            "POST",
            self._path + path,
            self._credential,
            timeouts,
            body=dumps(body),
            idempotency_key=idempotency_key(),
            streamed=True,
        )
        return partial(self._transport.stream, request)

    def _result(
        self,
        response: Response,
        read: Callable[Concatenate[bytes, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return the result of reading a response's body with *read*.

        An error of *read* gets the status, the request id and the body of the response.
        """
        # A context manager would read better, but costs about eight function calls more, on the
        # path of every call.
        try:
            return read(response.body, *args, **kwargs)
        except InferenceKeyError as error:
            annotate(error, response)
            self._credential.scrub(error)
            raise
