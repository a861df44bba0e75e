"""The record of all calls: one entry for each running call, and every deviation from a plan."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter

from inferencekey import GenerationFailed, InferenceKeyError, StreamInterrupted
from soak.plans import Fault, Plan

__all__ = ["Ledger", "percentile"]

PATIENCE = 30.0
"""Seconds after which every deadline of a call has passed."""

LATE = 2.5
"""Seconds by which an error may be late on a busy machine."""

SHOWN = 40


class Ledger:
    """The record of all calls. Tasks and threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, Plan, str]] = {}
        self._left_at: dict[str, float] = {}
        self._noticed_at: dict[str, float] = {}
        self.calls = 0
        self.outcomes: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self.closed_after = array("d")
        self.late_by = array("d")
        self.failures: list[str] = []
        self.failed = 0

    @property
    def running(self) -> int:
        return len(self._running)

    def begin(self, plan: Plan, way: str) -> None:
        with self._lock:
            self.calls += 1
            self.faults[plan.fault] += 1
            self.ways[way] += 1
            self._running[plan.call] = (time.monotonic(), plan, way)

    def end(self, plan: Plan, outcome: str) -> None:
        with self._lock:
            del self._running[plan.call]
            self.outcomes[outcome] += 1

    def fail(self, what: str) -> None:
        with self._lock:
            self.failed += 1
            if len(self.failures) < SHOWN:
                self.failures.append(what)

    def overdue(self) -> list[str]:
        """Return the calls that have run longer than ``PATIENCE``."""
        now = time.monotonic()
        with self._lock:
            found = [(now - began, plan, way) for began, plan, way in self._running.values()]
        return [
            f"{p.call} ({p.fault}, {way}): runs for {t:.0f} s"
            for t, p, way in found
            if t > PATIENCE
        ]

    # The caller of an endless response records when it left, and the server when it noticed. The
    # two reports may arrive in either order.

    def caller_left(self, plan: Plan) -> None:
        with self._lock:
            self._left_at[plan.call] = time.monotonic()
            self._match(plan.call)

    def server_noticed(self, call: str, at: float) -> None:
        with self._lock:
            self._noticed_at[call] = at
            self._match(call)

    def _match(self, call: str) -> None:
        if call in self._left_at and call in self._noticed_at:
            self.closed_after.append(max(0.0, self._noticed_at.pop(call) - self._left_at.pop(call)))

    def forget_departures(self) -> None:
        """Between rounds: drop the callers that left before the server had read their request."""
        with self._lock:
            self._left_at.clear()
            self._noticed_at.clear()

    def check_text(
        self, plan: Plan, text: str, error: InferenceKeyError | None, fault: Fault | None
    ) -> None:
        """Check that what was delivered is what the server sent, and what the error contains."""
        whole = plan.text + "." * (len(text) - len(plan.text)) if fault is None else plan.text
        if not whole.startswith(text):
            self.fail(f"{plan.call} ({plan.fault}): wrong text: {text[-80:]!r}")
        if isinstance(error, (StreamInterrupted, GenerationFailed)) and error.partial_text != text:
            self.fail(
                f"{plan.call} ({plan.fault}): partial_text differs from what was delivered: "
                f"{error.partial_text[-80:]!r}"
            )

    def check_outcome(
        self, plan: Plan, text: str, error: InferenceKeyError | None, fault: Fault, waited: float
    ) -> None:
        """Check the outcome of a response that was read to its end."""
        outcome = "whole" if error is None else type(error).__name__
        if outcome not in fault.outcomes:
            self.fail(
                f"{plan.call} ({plan.fault}): {outcome}, expected one of "
                f"{sorted(fault.outcomes)}: {error}"
            )
        elif error is None and text != plan.text:
            self.fail(
                f"{plan.call} ({plan.fault}): an incomplete response was returned as complete: "
                f"{text[-80:]!r}"
            )
        elif error is not None and fault.exact and text != plan.sent:
            lost = len(plan.sent) - len(text)
            self.fail(
                f"{plan.call} ({plan.fault}): "
                f"{lost} characters that had arrived were not delivered: {error}"
            )
        if fault.waits:
            self.late_by.append(max(0.0, waited - fault.waits))
            if waited > fault.waits + LATE:
                self.fail(f"{plan.call} ({plan.fault}): raised after {waited:.1f} s of silence")


def percentile(values: array[float], share: float) -> float:
    """Return the value that *share* of all values do not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
