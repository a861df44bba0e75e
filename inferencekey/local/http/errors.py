"""How each plane says no, and how a refusal travels from where it is decided to where it is sent."""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

__all__ = ["RETRY_AFTER", "Refused", "error_body", "is_data_plane", "json_answer"]

RETRY_AFTER: Final = {"Retry-After": "2"}
"""For what is over in a moment."""

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


class Refused(Exception):
    """A request that gets an error as its answer.

    Args:
        status: the answer's status.
        message: one line for people.
        code: the machine's word; on the control plane it is sent with a 403 only, as `error`, the message beside it.
        headers: such as ``Retry-After``.
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
        self.headers = {"WWW-Authenticate": "Bearer"} if status == 401 else headers or {}

    def response(self, path: str) -> web.Response:
        """Return the answer in the shape of the plane that *path* is on."""
        if is_data_plane(path):
            body = error_body(self.message, type_=self.type, code=self.code or None)
        else:
            denied = self.status == 403 and self.code
            body = (
                {"error": self.code, "message": self.message} if denied else {"error": self.message}
            )
        return web.json_response(body, status=self.status, headers=self.headers)


def error_body(message: str, *, type_: str, code: str | None) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": type_, "code": code}}


def is_data_plane(path: str) -> bool:
    """Whether errors on this path have OpenAI's shape; everything else is the control plane's."""
    return path.startswith("/endpoint/")


def json_answer(value: Any, *, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
