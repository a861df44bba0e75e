"""A token on its way to a header, kept out of everything that shows values."""

from __future__ import annotations

from typing import SupportsIndex

import attrs

from inferencekey.config import redact
from inferencekey.errors import InferenceKeyError
from inferencekey.models import TextResult

__all__ = ["Credential", "HiddenStr"]


class Credential:
    """A token that does not show itself: not in a repr, not in ``vars()``, not pickled.

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
        raise TypeError("a credential cannot be pickled; make the client where it is used")

    def reveal(self) -> str:
        """Return the token itself."""
        return self._token

    def scrub(self, error: InferenceKeyError) -> None:
        """Take the token out of whatever a server echoed into an error.

        Keys of other gateways have no form by which they could be found without knowing them.
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

    def hidden(self, text: str) -> str:
        """Return a text of a server without the token."""
        return redact(text, (self._token,))

    @property
    def bearer(self) -> str:
        """The value of the ``Authorization`` header."""
        return self._bearer


class HiddenStr(str):
    """A text that tools which print local variables do not show: they use its repr, or the repr of its beginning."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return "…"
