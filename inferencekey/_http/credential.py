"""The token of a client. It is kept out of reprs, tracebacks and pickles."""

from __future__ import annotations

import re
from typing import Final, SupportsIndex

import attrs

from inferencekey.credentials import redact
from inferencekey.errors import InferenceKeyError
from inferencekey.models import TextResult

__all__ = ["Credential", "HiddenStr"]


_ORDINARY_ID: Final = re.compile(r"(?:[a-z]{1,8}[_-])?[0-9a-fA-F-]{1,40}\Z").match


class Credential:
    """A token that is not shown in a repr or in ``vars()``, and that cannot be pickled.

    Args:
        token: the token itself.
    """

    __slots__ = ("_bearer", "_token")

    def __init__(self, token: str) -> None:
        self._token = token
        self._bearer = HiddenStr(f"Bearer {token}")

    def __repr__(self) -> str:
        return "Credential(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(
            "a credential cannot be pickled; create the client in the process that uses it"
        )

    def reveal(self) -> str:
        """Return the token itself."""
        return self._token

    def scrub(self, error: InferenceKeyError) -> None:
        """Remove the token from an error, in case the server repeated it in its response.

        The patterns of ``redact`` do not find the keys of other gateways. This one is known.
        """
        error.args = tuple(
            self.hidden(part) if isinstance(part, str) else part for part in error.args
        )
        for name in ("body", "code", "request_id"):
            text = getattr(error, name)
            if text is not None:
                setattr(error, name, self.hidden(text))
        result: object = getattr(error, "result", None)
        if isinstance(result, TextResult) and result.request_id is not None:
            error.__dict__["result"] = attrs.evolve(
                result, request_id=self.hidden(result.request_id)
            )

    def is_in(self, request_id: str) -> bool:
        """Whether the token may be in a request id. Nearly all ids are a few hex digits."""
        return _ORDINARY_ID(request_id) is None or self._token[:8] in request_id

    def hidden(self, text: str) -> str:
        """Return a text of a server without the token."""
        return redact(text, (self._token,))

    @property
    def bearer(self) -> str:
        """The value of the ``Authorization`` header."""
        return self._bearer


class HiddenStr(str):
    """A string that tools do not show when they print local variables.

    Such tools use the ``repr`` of a value, or the ``repr`` of its first characters.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return "…"
