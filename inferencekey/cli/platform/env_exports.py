"""The environment variables that programs need to use a local platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from inferencekey.cli.platform.shells import Shell, assignment
from inferencekey.config import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    PROJECT_VARIABLE,
    SDK_TOKEN_VARIABLE,
)

if TYPE_CHECKING:
    from inferencekey.local.token_pair import TokenPair

__all__ = ["Exports"]


@attrs.frozen
class Exports:
    """The address of a platform, and the tokens for one of its projects."""

    base_url: str
    project: str
    sdk_token: str = attrs.field(repr=False)
    api_key: str = attrs.field(repr=False)

    @classmethod
    def of(cls, base_url: str, pair: TokenPair) -> Exports:
        """Return the variables for an address and a pair of tokens."""
        return cls(base_url, pair.project, pair.sdk_token, pair.api_key)

    def lines(self, shell: Shell = Shell.SH) -> list[str]:
        """Return the lines that set the variables in a shell."""
        values = {
            BASE_URL_VARIABLE: self.base_url,
            PROJECT_VARIABLE: self.project,
            SDK_TOKEN_VARIABLE: self.sdk_token,
            API_KEY_VARIABLE: self.api_key,
        }
        return [assignment(shell, name, value) for name, value in values.items()]

    def to_dict(self) -> dict[str, str]:
        """Return the same for ``--json``."""
        return attrs.asdict(self)
