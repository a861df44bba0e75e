"""The local platform: both planes of the contract, served on this machine by real engines.

Importing this module is fast: the platform itself is imported at the first use of
:class:`LocalPlatform`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferencekey.local.platform import LocalPlatform

__all__ = ["LocalPlatform"]


def __getattr__(name: str) -> Any:
    if name == "LocalPlatform":
        from inferencekey.local.platform import LocalPlatform

        globals()[name] = LocalPlatform
        return LocalPlatform
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
