"""The plan of a call: its fault and its text. Caller and server derive both from one seed.

So every response can be checked against what the server intended to send, and every error against
the errors that the fault may cause.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

__all__ = ["EMBED", "ENDLESS", "STREAM", "TIMEOUTS", "UNARY", "Fault", "Plan"]

# The deadlines of every call, in seconds. A pause of the server is far shorter, or has no end.
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
    """The outcomes that a fault may have when the response is read to its end.

    Args:
        outcomes: ``"whole"``, or the names of errors.
        weight: how often it is chosen.
        exact: the error has all of the text that was sent, not only a part of it.
        waits: seconds of the deadline that raises the error; 0 if no deadline does.
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
    # The failure comes before the response. The retries or their budget may be used up.
    "busy": _fault("whole", "ServerError"),
    "limited": _fault("whole", "RateLimitError"),
    "bad_gateway": _fault("whole", "ServerError"),
    "hangs_up": _fault("whole", "TransportError"),
    "resets": _fault("whole", "TransportError"),
    "refused": _fault(*REFUSALS.values()),
    "error_page": _fault("ServerError", weight=1),
    "not_http": _fault("ResponseFormatError"),
    "silent": _fault("RequestTimeout", weight=1, waits=TIMEOUTS["first_byte"]),
    # The response is good; only its connection is not.
    "plain": _fault("whole", weight=30),
    "dribble": _fault("whole", weight=4),
    "until_close": _fault("whole"),
    "gzip": _fault("whole"),
    "dies_idle": _fault("whole", weight=4),
    "spare_response": _fault("whole"),
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
    "json_response": _fault("ResponseFormatError", "GenerationFailed"),
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
    # The invalid bytes are in a field that the client does not use.
    "bad_utf8": _fault("whole"),
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
        """Return the plan that a request's body contains."""
        return cls(wire["call"], wire["fault"], wire["seed"])

    @property
    def wire(self) -> dict[str, Any]:
        return {"call": self.call, "fault": self.fault, "seed": self.seed}

    def rng(self, part: str) -> random.Random:
        """Return the random numbers of one part of the plan."""
        return random.Random(f"{self.seed} {part}")  # noqa: S311

    @cached_property
    def pieces(self) -> list[str]:
        """The text: one piece for each event."""
        rng = self.rng("text")
        pieces = [rng.choice(WORDS) for _ in range(rng.randint(2, 40))]
        if rng.random() < 0.03:
            pieces.insert(rng.randrange(len(pieces)), "megabyte " * rng.randint(1_000, 60_000))
        return [f"<{self.call}> ", *pieces]

    @cached_property
    def cut(self) -> int:
        """How many pieces are sent before a fault in the middle; at least one."""
        return self.rng("cut").randint(1, len(self.pieces))

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def sent(self) -> str:
        """The part of the text that is sent before a fault in the middle."""
        return "".join(self.pieces[: self.cut])

    @cached_property
    def vector(self) -> list[float]:
        """The embedding."""
        rng = self.rng("vector")
        return [rng.randint(-99, 99) / 8 for _ in range(64)]
