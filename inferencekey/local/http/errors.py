"""Refusing a request: one exception, and its response in the format of each plane."""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

__all__ = ["RETRY_AFTER", "HTTPRefusal", "error_body", "is_data_plane", "json_response"]

RETRY_AFTER: Final = {"Retry-After": "2"}
"""Headers of a refusal whose reason passes in a few seconds."""

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    501: "not_implemented_error",
    503: "unavailable_error",
}


class HTTPRefusal(Exception):
    """A request is refused. Handlers raise it; the guard turns it into the response.

    Args:
        status: the HTTP status of the response.
        message: one line for people.
        code: a fixed string for programs. The control plane sends it with status 403 only, as
            ``error``, and the message beside it.
        headers: further headers of the response, such as ``Retry-After``.
        type_: the ``type`` of the error in OpenAI's format; default: the usual one of the status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        headers: dict[str, str] | None = None,
        type_: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.type = type_ or _TYPES.get(status, "server_error")
        self.headers = headers or {}
        if status == 401:
            # RFC 9110, section 15.5.2: a 401 must name how to authenticate.
            self.headers = {"WWW-Authenticate": "Bearer"}

    def response(self, path: str) -> web.Response:
        """Return the response, in the format of the plane that *path* belongs to."""
        return web.json_response(self._body(path), status=self.status, headers=self.headers)

    def _body(self, path: str) -> dict[str, Any]:
        if is_data_plane(path):
            return error_body(self.message, type_=self.type, code=self.code or None)
        if self.status == 403 and self.code:
            return {"error": self.code, "message": self.message}
        return {"error": self.message}


def error_body(message: str, *, type_: str, code: str | None) -> dict[str, Any]:
    """Return the body of an error in OpenAI's format."""
    return {"error": {"message": message, "type": type_, "code": code}}


def is_data_plane(path: str) -> bool:
    """Whether the path is on the data plane; every other path counts as the control plane."""
    return path.startswith("/endpoint/")


def json_response(value: Any, *, status: int = 200) -> web.Response:
    """Return a response with a JSON body."""
    # `web.json_response` takes a dumper that returns `str`; orjson gives the bytes that are sent.
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
