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
        try:
            from inferencekey.local.platform import LocalPlatform
        except ModuleNotFoundError as error:
            message = _missing_message(error.name or "inferencekey")
            if message is None:
                raise
            raise ModuleNotFoundError(message, name=error.name) from error

        globals()[name] = LocalPlatform
        return LocalPlatform
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _missing_message(module: str) -> str | None:
    """Return what to do about a missing module; ``None`` for a module of this package."""
    if module.startswith("inferencekey"):
        return None
    if module == "fcntl":  # a standard module that Windows does not have
        return "the local platform runs on Linux and macOS only"
    from inferencekey.installing import missing_message

    return missing_message(f"the local platform needs {module}", "local")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
