"""What a shell needs to know to use a local platform."""

from __future__ import annotations

import shlex

import attrs

from inferencekey.local import LocalPlatform

__all__ = ["Exports"]


@attrs.frozen
class Exports:
    """Where a platform is, and a fresh pair of tokens for it."""

    base_url: str
    project: str
    sdk_token: str = attrs.field(repr=False)
    api_key: str = attrs.field(repr=False)

    @classmethod
    def mint(cls, platform: LocalPlatform, project: str) -> Exports:
        """Mint a pair: a control token for the project, a data key for all its workloads."""
        return cls(
            platform.base_url,
            project,
            platform.mint_sdk_token(project),
            platform.mint_live_token(f"{project}/*"),
        )

    def shell(self) -> str:
        """Return the lines to paste."""
        values = {
            "INFERENCEKEY_BASE_URL": self.base_url,
            "INFERENCEKEY_PROJECT": self.project,
            "INFERENCEKEY_SDK_TOKEN": self.sdk_token,
            "INFERENCEKEY_API_KEY": self.api_key,
        }
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())

    def to_dict(self) -> dict[str, str]:
        """Return the same for ``--json``."""
        return attrs.asdict(self)
