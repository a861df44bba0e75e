"""The token of a client. It is kept out of reprs, tracebacks and pickles."""

from __future__ import annotations

from typing import SupportsIndex

from inferencekey.config import redact
from inferencekey.errors import InferenceKeyError

__all__ = ["Credential", "HiddenStr"]


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
        secrets = (self._token,)
        error.args = tuple(
            redact(part, secrets) if isinstance(part, str) else part for part in error.args
        )
        if error.body is not None:
            error.body = redact(error.body, secrets)
        if error.code is not None:
            error.code = redact(error.code, secrets)

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
