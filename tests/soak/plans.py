"""What a call is to meet, decided by its caller and carried out by the server: both derive it from one seed.

So every answer can be checked against what the server meant to send, and every error against what may come of the fault.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

__all__ = ["EMBED", "ENDLESS", "STREAM", "TIMEOUTS", "UNARY", "Fault", "Plan"]

# The deadlines of every call, in seconds. The server's pauses are far below them, or for ever.
TIMEOUTS: Final = {"connect": 5.0, "first_byte": 3.0, "read": 3.0, "total": 10.0, "keepalive": 3.0}

WORDS: Final = (
    "the ",
    "Año ",
    "日本語 ",
    "🙂",
    "\n\n",
    '"',
    "\\",
    "data: ",
    "é",
    "[DONE] ",
    "  ",
    "",
    "&",
    "x" * 300,
)
ENDLESS: Final = "endless"


@dataclass(frozen=True)
class Fault:
    """What may come of a fault when the answer is read to its end.

    Args:
        outcomes: ``"whole"``, or the names of errors.
        weight: how often it is chosen.
        exact: an error comes with all of the text that was sent, not just with a beginning of it.
        waits: the error comes at the end of a deadline, and not much later.
    """

    outcomes: frozenset[str]
    weight: int = 2
    exact: bool = False
    waits: float = 0.0


def _fault(*outcomes: str, weight: int = 2, exact: bool = False, waits: float = 0.0) -> Fault:
    return Fault(frozenset(outcomes), weight, exact, waits)


REFUSALS: Final = {
    400: "ValidationError",
    401: "AuthError",
    403: "PermissionDenied",
    404: "NotFoundError",
    418: "ApiError",
    302: "ApiError",
    500: "ServerError",
}

_BEFORE: Final = {
    # Something is wrong before the answer; the retries may be spent, or their budget.
    "busy": _fault("whole", "ServerError"),
    "limited": _fault("whole", "RateLimitError"),
    "bad_gateway": _fault("whole", "ServerError"),
    "hangs_up": _fault("whole", "TransportError"),
    "resets": _fault("whole", "TransportError"),
    "refused": _fault(*REFUSALS.values()),
    "error_page": _fault("ServerError", weight=1),
    "not_http": _fault("ResponseFormatError"),
    "silent": _fault("RequestTimeout", weight=1, waits=TIMEOUTS["first_byte"]),
    # Nothing is wrong with the answer, only with its connection.
    "plain": _fault("whole", weight=30),
    "dribble": _fault("whole", weight=4),
    "until_close": _fault("whole"),
    "gzip": _fault("whole"),
    "dies_idle": _fault("whole", weight=4),
    "spare_answer": _fault("whole"),
}

STREAM: Final = {
    **_BEFORE,
    "odd": _fault("whole", weight=6),
    "one_write": _fault("whole", weight=4),
    "no_done": _fault("whole"),
    "cut_after_finish": _fault("whole"),
    "half_close": _fault("StreamInterrupted", weight=4, exact=True),
    "clean_end": _fault("StreamInterrupted", exact=True),
    "half_event": _fault("StreamInterrupted", exact=True),
    "reset": _fault("StreamInterrupted", weight=4),
    "cut_chunk": _fault("StreamInterrupted", exact=True),
    "long_length": _fault("StreamInterrupted", exact=True),
    "short_length": _fault("StreamInterrupted", "ResponseFormatError"),
    "bad_chunk": _fault("StreamInterrupted", "ResponseFormatError"),
    "bad_gzip": _fault("StreamInterrupted", "ResponseFormatError", exact=True),
    "stall": _fault("RequestTimeout", exact=True, waits=TIMEOUTS["read"]),
    "comments": _fault("RequestTimeout", weight=1, exact=True, waits=TIMEOUTS["keepalive"]),
    "in_band": _fault("GenerationFailed", weight=3, exact=True),
    "abort": _fault("GenerationFailed", exact=True),
    "garbage": _fault("ResponseFormatError", exact=True),
    "json_answer": _fault("ResponseFormatError", "GenerationFailed"),
}

UNARY: Final = {
    **_BEFORE,
    "half_close": _fault("TransportError", weight=3),
    "reset": _fault("TransportError", weight=3),
    "stall": _fault("RequestTimeout", weight=1, waits=TIMEOUTS["read"]),
    "bad_gzip": _fault("TransportError", "ResponseFormatError"),
    "truncated": _fault("ResponseFormatError"),
    "empty": _fault("ResponseFormatError"),
    "wrong_shape": _fault("ResponseFormatError"),
    "bad_utf8": _fault("ResponseFormatError"),
    "in_band": _fault("GenerationFailed"),
    "abort": _fault("GenerationFailed"),
}

EMBED: Final = {
    **_BEFORE,
    "wrong_shape": _fault("ResponseFormatError"),
    "truncated": _fault("ResponseFormatError"),
}


@dataclass(frozen=True)
class Plan:
    """One call.

    Args:
        call: its name, unique in the run.
        fault: what the server does.
        seed: of everything else.
    """

    call: str
    fault: str
    seed: int

    @classmethod
    def of(cls, wire: Any) -> Plan:
        """Read it from a request's body."""
        return cls(wire["call"], wire["fault"], wire["seed"])

    @property
    def wire(self) -> dict[str, Any]:
        return {"call": self.call, "fault": self.fault, "seed": self.seed}

    def rng(self, part: str) -> random.Random:
        """Return the random numbers of one part of the plan."""
        return random.Random(f"{self.seed} {part}")  # noqa: S311

    @cached_property
    def pieces(self) -> list[str]:
        """The text, one piece for each event."""
        rng = self.rng("text")
        pieces = [rng.choice(WORDS) for _ in range(rng.randint(2, 40))]
        if rng.random() < 0.03:
            pieces.insert(rng.randrange(len(pieces)), "megabyte " * rng.randint(1_000, 60_000))
        return [f"<{self.call}> ", *pieces]

    @cached_property
    def cut(self) -> int:
        """How many pieces are sent before a fault in the middle; at least the first."""
        return self.rng("cut").randint(1, len(self.pieces))

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)

    @property
    def sent(self) -> str:
        """What is sent of it before a fault in the middle."""
        return "".join(self.pieces[: self.cut])

    @cached_property
    def vector(self) -> list[float]:
        """The embedding."""
        rng = self.rng("vector")
        return [rng.randint(-99, 99) / 8 for _ in range(64)]
