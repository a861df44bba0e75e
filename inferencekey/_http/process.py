"""The id of this process, without a system call for every request."""

from __future__ import annotations

import os

__all__ = ["current"]

_id = os.getpid()


def current() -> int:
    """Return the id of the process; a forked child has its own."""
    return _id


def _in_child() -> None:
    global _id
    _id = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
