"""How each plane says no, and how a refusal travels from where it is decided to where it is sent."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

__all__ = ["Refused", "error_body", "is_data_plane"]

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
        code: the machine's word; on the control plane's 403 it is all that is sent.
        headers: such as ``Retry-After``.
    """

    def __init__(
        self, status: int, message: str, *, code: str = "", headers: dict[str, str] | None = None, type_: str = ""
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
            body = {"error": self.code if self.status == 403 and self.code else self.message}
        return web.json_response(body, status=self.status, headers=self.headers)


def error_body(message: str, *, type_: str, code: str | None) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": type_, "code": code}}


def is_data_plane(path: str) -> bool:
    """Whether errors on this path have OpenAI's shape; everything else is the control plane's."""
    return path.startswith("/endpoint/")
