"""The log file of the platform: readable by its owner only, of bounded size, without secrets."""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from inferencekey.printable import shown

__all__ = ["open_platform_log"]

LOG_BYTES: Final = 5 * 1024 * 1024
KEPT_FILES: Final = 2


@contextmanager
def open_platform_log(path: Path) -> Generator[logging.Logger]:
    """Give a logger that writes to *path*."""
    handler = _PrivateFileHandler(
        path, maxBytes=LOG_BYTES, backupCount=KEPT_FILES, encoding="utf-8"
    )
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    # `logging.getLogger` would give two platforms in one process the same logger.
    logger = logging.Logger("inferencekey.local", logging.INFO)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()


class _OneLine(logging.Formatter):
    """Makes of each message one line, whatever a caller or an engine has put into it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name in logging)
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name in logging)
        # Indented, so that no line of an exception's message looks like a line of the log.
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {shown(line)}" for line in lines)


class _PrivateFileHandler(logging.handlers.RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        descriptor = os.open(
            self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        return os.fdopen(descriptor, "a", encoding=self.encoding)
