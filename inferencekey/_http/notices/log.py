"""The log: ``logging.getLogger("inferencekey")``.

By default the application's own logging decides where the log goes. ``INFERENCEKEY_LOG=debug`` or
``info`` sends it to stderr. There is one line for each attempt at ``DEBUG``, and one for each retry
at ``INFO``. The log never contains a credential or a body.
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
    """Redacts everything that looks like a token in a finished line, its traceback included."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name in logging)
        # Indented, so that no line of an exception's message looks like a line of the log.
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {shown(line)}" for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up_logging() -> None:
    """Send the log to stderr if ``INFERENCEKEY_LOG`` asks for it; once for each process.

    Raises:
        ConfigurationError: the variable is not ``debug``, ``info``, ``off`` or blank.
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
