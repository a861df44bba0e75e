"""``ensure`` and ``apply`` converge on one workload: random events against the real platform.

Several callers act at once. Requests and responses are lost at any moment, or arrive late. Other
callers have workloads with similar slugs, and delete or change ours. After every order of events,
there is exactly one workload, and the others are unchanged.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from faults.lossy_proxy import Loss, LossyProxy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from platforms.background import platform_in_background

from inferencekey import DriftError, ManagementClient, RetryPolicy, WorkloadSpec
from inferencekey._core.control import converge

pytestmark = pytest.mark.timeout(240)

# No stand-in serves forecasts, so no engine is started: this tests the clients and the store.
TASK = "forecast"
SLUG = "support-bot"
QUICK = RetryPolicy(base=0.01)

LOSSES = st.lists(
    st.sampled_from([None, "request", "answer", "late", "unavailable", "bad gateway after"]),
    max_size=2,
)


def spec(slug: str, command: str) -> WorkloadSpec:
    return WorkloadSpec(
        name=slug, slug=slug, model="m", backend="custom", task_type=TASK, command=command
    )


class Callers(RuleBasedStateMachine):
    """The state of one example. Each example has its own project on one platform."""

    platform: Any
    between: LossyProxy
    example = 0

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.foreign: set[str] = set()
        self.wanted: set[str] = set()

    @initialize()
    def begin(self) -> None:
        Callers.example += 1
        self.project = f"p{Callers.example}"
        token = self.platform.mint_sdk_token(self.project)
        self.through = [
            self.stack.enter_context(
                ManagementClient(
                    base_url=self.between.url, project=self.project, sdk_token=token, retry=QUICK
                )
            )
            for _ in range(3)
        ]
        self.direct = self.stack.enter_context(
            ManagementClient(base_url=self.platform.base_url, project=self.project, sdk_token=token)
        )

    def teardown(self) -> None:
        self.between.lose()
        self.stack.close()

    @rule(command=st.sampled_from("ab"), losses=LOSSES)
    def one_caller(self, command: str, losses: list[Loss | None]) -> None:
        self.between.lose(*losses)
        ref = self.through[0].ensure(spec(SLUG, command))
        assert ref.workload_slug == SLUG
        self.wanted = {command}

    @rule(commands=st.lists(st.sampled_from("ab"), min_size=2, max_size=3), losses=LOSSES)
    def several_at_once(self, commands: list[str], losses: list[Loss | None]) -> None:
        self.between.lose(*losses)
        with ThreadPoolExecutor(len(commands)) as pool:
            calls = [
                pool.submit(client.ensure, spec(SLUG, c))
                for client, c in zip(self.through, commands, strict=False)
            ]
        assert {call.result().workload_slug for call in calls} == {SLUG}
        self.wanted = set(commands)

    @rule(command=st.sampled_from("ab"), losses=LOSSES)
    def a_plan_is_applied(self, command: str, losses: list[Loss | None]) -> None:
        plan = self.direct.plan(spec(SLUG, command))
        self.between.lose(*losses)
        assert self.through[0].apply(plan).workload_slug == SLUG
        self.wanted = {command}

    @rule(commands=st.lists(st.sampled_from("ab"), min_size=2, max_size=3), losses=LOSSES)
    def plans_are_applied_at_once(self, commands: list[str], losses: list[Loss | None]) -> None:
        plans = [self.direct.plan(spec(SLUG, command)) for command in commands]
        self.between.lose(*losses)
        with ThreadPoolExecutor(len(plans)) as pool:
            calls = [
                pool.submit(client.apply, plan)
                for client, plan in zip(self.through, plans, strict=False)
            ]
        failures = [call.exception() for call in calls]
        assert all(failure is None or isinstance(failure, DriftError) for failure in failures), (
            failures
        )
        assert None in failures
        self.wanted = set(commands)

    @rule()
    def an_outdated_plan_changes_nothing(self) -> None:
        plan = self.direct.plan(spec(SLUG, "a"))
        # The change must be a real one: a plan is still valid if nothing has changed.
        there = {w.slug: w.config for w in self.direct.list_workloads()}.get(SLUG)
        command = "z" if there != {"command": "z"} else "zz"
        self.direct.ensure(spec(SLUG, command))
        with pytest.raises(DriftError):
            self.direct.apply(plan)
        self.wanted = {command}

    @rule()
    def another_caller_deletes_it(self) -> None:
        self.direct.delete(SLUG)
        self.wanted = set()

    @rule(command=st.sampled_from("xy"))
    def another_caller_changes_it(self, command: str) -> None:
        if self.wanted:
            self.direct.ensure(spec(SLUG, command))
            self.wanted = {command}

    @rule(number=st.integers(1, 3))
    def another_workload_has_a_similar_slug(self, number: int) -> None:
        self.direct.ensure(spec(f"{SLUG}-{number}", "foreign"))
        self.foreign.add(f"{SLUG}-{number}")

    @invariant()
    def one_workload_is_left_and_others_are_unchanged(self) -> None:
        if not hasattr(self, "direct"):
            return
        self.between.settle()
        self.between.lose()
        there = {w.slug: w for w in self.direct.list_workloads()}
        assert set(there) == self.foreign | ({SLUG} if self.wanted else set())
        assert all((there[slug].config or {})["command"] == "foreign" for slug in self.foreign)
        if self.wanted:
            assert (there[SLUG].config or {})["command"] in self.wanted


def test_any_order_of_events_ends_with_one_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server delays late requests by 0.3 s, so waiting longer for them is unnecessary.
    monkeypatch.setattr(converge, "SETTLE", 0.4)
    with (
        tempfile.TemporaryDirectory() as folder,
        platform_in_background(Path(folder)) as platform,
        LossyProxy(platform.base_url) as between,
    ):
        Callers.platform, Callers.between = platform, between
        machine = Callers.TestCase
        machine.settings = settings(
            max_examples=25,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        machine("runTest").runTest()
