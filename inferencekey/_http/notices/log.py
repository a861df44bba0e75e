"""The log: ``logging.getLogger("inferencekey")``, silent unless asked for.

``INFERENCEKEY_LOG=debug`` (or ``info``) sends it to stderr; otherwise the application's own logging decides. One line per
attempt at ``DEBUG``, one per retry at ``INFO``. Never a credential, never a body.
"""

from __future__ import annotations

import logging
from typing import Any

from inferencekey.config import LOG
from inferencekey.credentials import redact
from inferencekey.printable import shown

__all__ = ["logger", "set_up_logging"]

logger = logging.getLogger("inferencekey")
logger.addHandler(logging.NullHandler())

_set_up = False


class OneLine(logging.Filter):
    """Makes each message one line without credentials, whichever handler writes it.

    A message may have the words of a server, which must not look like a line of the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage()), ()
        return True


logger.addFilter(OneLine())


class Redacting(logging.Formatter):
    """Scrubs whatever looks like a token from a finished line, its traceback included."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name in logging)
        # Indented, so that no line of an exception's message looks like a line of the log.
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {shown(line)}" for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up_logging() -> None:
    """Do what ``INFERENCEKEY_LOG`` asks, once per process.

    Raises:
        ConfigurationError: it is neither ``debug`` nor ``info`` (nor blank, nor ``off``).
    """
    global _set_up
    if _set_up:
        return
    level = LOG.read()
    if level is not None:
        handler = logging.StreamHandler()
        handler.setFormatter(Redacting("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(level.upper())
    _set_up = True
