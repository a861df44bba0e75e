"""Which process this is, without asking the kernel at every call."""

from __future__ import annotations

import os

__all__ = ["current"]

_id = os.getpid()


def current() -> int:
    """Return the process's id."""
    return _id


def _in_child() -> None:
    global _id
    _id = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
