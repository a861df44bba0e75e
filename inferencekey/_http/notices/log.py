"""The log: ``logging.getLogger("inferencekey")``, silent unless asked for.

``INFERENCEKEY_LOG=debug`` (or ``info``) sends it to stderr; otherwise the application's own logging decides. One line per
attempt at ``DEBUG``, one per retry at ``INFO``. Never a credential, never a body.
"""

from __future__ import annotations

import logging

from inferencekey.config import LOG
from inferencekey.credentials import redact

__all__ = ["logger", "set_up_logging"]

logger = logging.getLogger("inferencekey")
logger.addHandler(logging.NullHandler())

_set_up = False


class Redacting(logging.Formatter):
    """Scrubs whatever looks like a token from a finished line, its traceback included."""

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
