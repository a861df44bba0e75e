"""The steps of ensure and apply: each row of their tables, and many callers at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferencekey._core.control.converge import (
    Apply,
    Converge,
    Create,
    Discard,
    Fail,
    Finish,
    Machine,
    Read,
    Step,
    Update,
)
from inferencekey._core.control.plans import create_body, make_plan, patch_body
from inferencekey._core.control.wire import find_workload, slugs_of, workload
from inferencekey.errors import ApiError, DriftError, TransportError
from inferencekey.models import OnDrift, Plan, Workload, WorkloadSpec

SPEC = WorkloadSpec(name="Bot", slug="Support Bot", model="m", backend="vllm", command="new")
LOST = TransportError("network error: reset")


def machine(on_drift: OnDrift = OnDrift.RECONCILE) -> Converge:
    made = Converge(SPEC, on_drift, "acme")
    assert made.start() == Read()
    return made


def live(slug: str = "support-bot", id: str = "w-1", **fields: Any) -> Workload:
    return workload({**create_body(SPEC), "id": id, "slug": slug, **fields})


DRIFTED = live(config={"command": "old"}, name="Other")


def created(made: Converge) -> Step:
    return made.read(None)


def test_read_absent_creates() -> None:
    assert machine().read(None) == Create(create_body(SPEC))


@pytest.mark.parametrize("mode", [mode for mode in OnDrift if mode is not OnDrift.DRY_RUN])
def test_an_absent_workload_is_created_in_every_mode_but_dry_run(mode: OnDrift) -> None:
    assert isinstance(machine(mode).read(None), Create)


def test_a_dry_run_changes_nothing_absent_workloads_included() -> None:
    step = machine(OnDrift.DRY_RUN).read(None)
    assert isinstance(step, Finish)
    assert (step.slug, step.plan.action, step.plan.workload_id, step.warn) == (
        "support-bot",
        "create",
        None,
        False,
    )


@pytest.mark.parametrize("mode", [*OnDrift])
def test_read_equal_finishes(mode: OnDrift) -> None:
    step = machine(mode).read(live())
    assert isinstance(step, Finish)
    assert (step.slug, step.plan.action, step.warn) == ("support-bot", "none", False)


def test_drift_is_reconciled_with_exactly_the_drifted_fields() -> None:
    assert machine().read(DRIFTED) == Update("w-1", {"name": "Bot", "config": {"command": "new"}})


def test_notes_a_difference_that_no_update_can_remove() -> None:
    step = machine().read(live(task_type="embedding"))
    assert isinstance(step, Finish)
    assert step.plan.action == "none"
    assert [note[:52] for note in step.notes] == [
        "workload 'support-bot' has the task_type 'embedding'"
    ]
    made = machine()
    made.read(live(task_type="embedding", name="Other"))
    step = made.updated(live(task_type="embedding"))
    assert isinstance(step, Finish)
    assert len(step.notes) == 1
    step = machine().read(live())
    assert isinstance(step, Finish)
    assert step.notes == ()


def test_drift_fails() -> None:
    step = machine(OnDrift.FAIL).read(DRIFTED)
    assert isinstance(step, Fail)
    assert isinstance(step.error, DriftError)
    assert str(step.error) == "workload drifted from spec: name, config"
    assert step.error.plan is not None
    assert step.error.plan.action == "update"


@pytest.mark.parametrize("mode", [OnDrift.DRY_RUN, OnDrift.WARN, OnDrift.IGNORE])
def test_drift_that_is_not_removed(mode: OnDrift) -> None:
    step = machine(mode).read(DRIFTED)
    assert isinstance(step, Finish)
    assert step.warn is (mode is OnDrift.WARN)
    assert [change.field for change in step.plan.changes] == ["name", "config"]


def test_created_under_the_wanted_slug_finishes() -> None:
    made = machine()
    created(made)
    step = made.created(live(id="w-7"))
    assert isinstance(step, Finish)
    assert (step.slug, step.plan.action, step.plan.workload_id) == ("support-bot", "create", "w-7")


def test_created_under_a_suffixed_slug_is_discarded_and_the_winner_adopted() -> None:
    made = machine()
    created(made)
    assert made.created(live("support-bot-1", "w-2")) == Discard("w-2")
    assert made.discarded() == Read()
    step = made.read(live())
    assert isinstance(step, Finish)
    assert (step.slug, step.plan.action) == ("support-bot", "none"), "this call has changed nothing"


def test_the_adopted_workload_is_updated_to_the_spec() -> None:
    made = machine()
    created(made)
    made.created(live("support-bot-1", "w-2"))
    made.discarded()
    assert isinstance(made.read(DRIFTED), Update)
    made.unknown(LOST)
    step = made.read(live())
    assert isinstance(step, Finish)
    assert step.plan.action == "update", "the update that may have been lost was this call's"


def test_the_waits_after_unknown_creates_grow() -> None:
    made = machine()
    delays = []
    for _ in range(3):
        assert isinstance(created(made), Create)
        step = made.unknown(LOST)
        assert isinstance(step, Read)
        delays.append(step.delay)
    assert delays == [0.25, 0.5, 1.0]
    assert made.read(None) == Fail(LOST)


def test_an_unknown_create_that_was_stored() -> None:
    made = machine()
    created(made)
    made.unknown(LOST)
    assert made.read(live(id="w-9"), ["support-bot"]) == Create(create_body(SPEC)), "whose is it?"
    step = made.created(live(id="w-9"))
    assert isinstance(step, Finish)
    assert (step.plan.action, step.plan.workload_id, step.leftovers) == ("create", "w-9", ())


def test_an_unknown_create_that_another_caller_has_carried_out() -> None:
    made = machine()
    created(made)
    made.unknown(LOST)
    assert made.read(live(id="w-9"), ["support-bot"]) == Create(create_body(SPEC))
    assert made.created(live("support-bot-1", "w-10")) == Discard("w-10")
    made.discarded()
    assert made.read(live(id="w-9"), ["support-bot"]) == Read(1.0), "what was lost may still arrive"
    step = made.read(live(id="w-9"), ["support-bot", "support-bot-2", "support-bots-3"])
    assert isinstance(step, Finish)
    assert (step.plan.action, step.leftovers) == ("none", ("support-bot-2",))


def test_an_unknown_create_sent_again_may_have_been_stored_twice() -> None:
    made = machine()
    assert isinstance(made.read(None, ["support-bot-7"]), Create)
    made.unknown(LOST)
    assert made.read(None, ["support-bot-7"]) == Create(create_body(SPEC))
    assert made.created(live(id="w-2")) == Read(1.0)
    step = made.read(live(id="w-2"), ["support-bot", "support-bot-1", "support-bot-7"])
    assert isinstance(step, Finish)
    assert (step.plan.action, step.leftovers) == ("create", ("support-bot-1",))


def test_a_conflict_is_followed_by_a_read_and_a_new_key() -> None:
    made = machine()
    created(made)
    assert made.conflict(ApiError("api error (status 409): spoken for", status=409)) == Read(0.25)
    assert made.read(None) == Create(create_body(SPEC), 1)


def test_responses_that_are_lost_repeatedly_end_the_loop() -> None:
    made = machine()
    created(made)
    for _ in range(2):
        made.unknown(LOST)
        assert isinstance(made.read(live()), Create)
    made.unknown(LOST)
    assert made.read(live()) == Read(1.0)
    assert isinstance(made.read(live()), Finish)


def test_an_update_finishes_with_its_plan() -> None:
    made = machine()
    made.read(DRIFTED)
    step = made.updated(live())
    assert isinstance(step, Finish)
    assert [change.field for change in step.plan.changes] == ["name", "config"]


def test_an_unknown_update_that_was_stored() -> None:
    made = machine()
    made.read(DRIFTED)
    assert made.unknown(LOST) == Read(0.25)
    step = made.read(live())
    assert isinstance(step, Finish)
    assert (step.plan.action, step.plan.workload_id) == ("update", "w-1")


def test_an_update_that_never_has_an_effect_ends_with_its_cause() -> None:
    made = machine()
    for _ in range(3):
        assert isinstance(made.read(DRIFTED), Update)
        made.unknown(LOST)
    assert made.read(DRIFTED) == Fail(LOST)
    assert isinstance(made.read(live()), Finish), "it may have taken after all"


def test_a_workload_deleted_in_between_is_created_again() -> None:
    made = machine()
    made.read(DRIFTED)
    assert made.gone() == Read()
    assert isinstance(made.read(None), Create)


def test_a_workload_that_another_caller_keeps_deleting() -> None:
    made = machine()
    for _ in range(3):
        assert isinstance(made.read(DRIFTED), Update)
        made.gone()
    step = made.read(None)
    assert isinstance(step, Fail)
    assert isinstance(step.error, ApiError)
    assert str(step.error) == (
        "api error: workload 'support-bot' disappeared 3 times while it was ensured; another "
        "caller keeps deleting it."
    )


def test_a_slug_that_the_server_never_stores_ends_after_three_creates_with_both_names() -> None:
    made = machine()
    for round in range(3):
        assert isinstance(made.read(None), Create)
        assert made.created(live("support-bot-1", f"w-{round}")) == Discard(f"w-{round}")
        assert made.discarded() == Read()
    step = made.read(None)
    assert isinstance(step, Fail)
    assert isinstance(step.error, ApiError)
    assert str(step.error) == (
        "api error: workload 'support-bot' could not be ensured: 3 times, the server stored it as "
        "'support-bot-1' but did not list 'support-bot'; each duplicate was deleted. "
        "Check whether the slug is reserved, or whether another caller deletes the workload."
    )


def test_the_slugs_are_iterated_over_only_after_a_loss() -> None:
    def never() -> Iterator[str]:
        raise AssertionError("the slugs are not needed")
        yield

    assert isinstance(machine().read(live(), never()), Finish)
    made = machine()
    assert isinstance(made.read(None, never()), Create)
    assert isinstance(made.created(live()), Finish)


# Apply.

CREATE = make_plan(SPEC, None, project="acme")
UPDATE = make_plan(SPEC, DRIFTED, project="acme")
NONE = make_plan(SPEC, live(), project="acme")


def applying(plan: Plan) -> Apply:
    made = Apply(plan)
    assert made.start() == Read()
    return made


def refused(step: Step, why: str) -> DriftError:
    assert isinstance(step, Fail)
    assert isinstance(step.error, DriftError)
    assert str(step.error) == f"workload drifted from plan: 'support-bot' {why}. Plan again."
    return step.error


def test_a_create_plan_creates() -> None:
    made = applying(CREATE)
    assert made.read(None) == Create(create_body(SPEC))
    assert made.created(live(id="w-7")) == Finish(
        "support-bot", attrs.evolve(CREATE, workload_id="w-7")
    )


def test_an_update_plan_sends_exactly_its_changes() -> None:
    made = applying(UPDATE)
    assert made.read(DRIFTED) == Update("w-1", {"name": "Bot", "config": {"command": "new"}})
    assert made.updated(live()) == Finish("support-bot", UPDATE)


def test_a_plan_without_changes_does_nothing() -> None:
    assert applying(NONE).read(live()) == Finish("support-bot", NONE)


@pytest.mark.parametrize(
    ("plan", "there", "why"),
    [
        (CREATE, live(), "exists now"),
        (CREATE, DRIFTED, "exists now"),
        (UPDATE, None, "does not exist any more"),
        (UPDATE, live(), "was changed since: name, config"),
        (
            UPDATE,
            live(config={"command": "old"}, name="Other", id="w-2"),
            "was deleted and created again",
        ),
        (NONE, None, "does not exist any more"),
        (NONE, live(description="d"), "was changed since: description"),
        (NONE, DRIFTED, "was changed since: name, config"),
    ],
)
def test_a_plan_whose_workload_has_changed_is_refused(
    plan: Plan, there: Workload | None, why: str
) -> None:
    refused(applying(plan).read(there), why)


def test_a_create_plan_that_another_caller_has_carried_out_first() -> None:
    made = applying(CREATE)
    made.read(None)
    assert made.created(live("support-bot-1", "w-2")) == Discard("w-2")
    assert made.discarded() == Read()
    error = refused(made.read(live()), "exists now")
    assert error.plan is not None
    assert error.plan.action == "none"


def test_a_create_plan_whose_response_was_lost_finds_its_own_workload() -> None:
    made = applying(CREATE)
    made.read(None)
    assert made.unknown(LOST) == Read(0.25)
    assert made.read(live(id="w-9")) == Create(create_body(SPEC)), "whose is it?"
    assert made.created(live(id="w-9")) == Finish(
        "support-bot", attrs.evolve(CREATE, workload_id="w-9")
    )


def test_a_create_plan_whose_response_was_lost_on_a_server_that_ignores_keys() -> None:
    made = applying(CREATE)
    made.read(None)
    made.unknown(LOST)
    made.read(live(id="w-9"))
    assert made.created(live("support-bot-1", "w-10")) == Discard("w-10")
    made.discarded()
    assert made.read(live(id="w-9")) == Read(1.0), "what was lost may still arrive"
    step = made.read(live(id="w-9"), ["support-bot", "support-bot-2"])
    assert step == Finish("support-bot", CREATE, leftovers=("support-bot-2",)), (
        "no id: it may be another caller's"
    )


def test_a_create_plan_whose_response_was_lost_does_not_adopt_a_different_workload() -> None:
    made = applying(CREATE)
    made.read(None)
    made.unknown(LOST)
    made.read(DRIFTED)
    made.created(live("support-bot-1", "w-10"))
    made.discarded()
    refused(made.read(DRIFTED), "exists now")


def test_a_create_plan_refused_as_a_conflict() -> None:
    made = applying(CREATE)
    made.read(None)
    assert made.conflict(ApiError("api error (status 409): spoken for", status=409)) == Read(0.25)
    refused(made.read(live()), "exists now")


def test_an_update_plan_whose_response_was_lost_finds_its_own_change() -> None:
    made = applying(UPDATE)
    made.read(DRIFTED)
    assert made.unknown(LOST) == Read(0.25)
    assert made.read(live(description="somebody else's")) == Finish("support-bot", UPDATE)


def test_an_update_plan_whose_request_was_lost() -> None:
    made = applying(UPDATE)
    for _ in range(3):
        assert isinstance(made.read(DRIFTED), Update)
        made.unknown(LOST)
    assert made.read(DRIFTED) == Fail(LOST)


def test_an_update_plan_whose_workload_was_replaced() -> None:
    made = applying(UPDATE)
    made.read(DRIFTED)
    made.unknown(LOST)
    refused(made.read(live(id="w-2")), "was deleted and created again")


def test_an_update_plan_whose_workload_is_gone() -> None:
    made = applying(UPDATE)
    made.read(DRIFTED)
    assert made.gone() == Read()
    refused(made.read(None), "does not exist any more")


def test_a_create_plan_whose_slug_the_server_never_stores() -> None:
    made = applying(CREATE)
    for round in range(3):
        assert isinstance(made.read(None), Create)
        assert isinstance(made.created(live("support-bot-1", f"w-{round}")), Discard)
        made.discarded()
    step = made.read(None)
    assert isinstance(step, Fail)
    assert "could not be ensured" in str(step.error)


# Many callers at once.


@attrs.define
class Server:
    """Stores workloads, suffixes slugs that are taken, and may honour an Idempotency-Key."""

    honours_keys: bool
    rows: dict[str, dict[str, Any]] = attrs.Factory(dict)
    owners: dict[str, tuple[int, int]] = attrs.Factory(dict)
    answers: dict[tuple[int, int], dict[str, Any]] = attrs.Factory(dict)

    def create(self, owner: tuple[int, int], body: dict[str, Any]) -> Workload:
        if self.honours_keys and owner in self.answers:
            return workload(self.answers[owner])
        taken = {row["slug"] for row in self.rows.values()}
        slug = next(s for s in self.slugs(body["slug"]) if s not in taken)
        id = f"w-{len(self.owners)}"
        self.owners[id] = owner
        self.rows[id] = self.answers[owner] = {**body, "id": id, "slug": slug}
        return workload(self.rows[id])

    @staticmethod
    def slugs(slug: str) -> Iterator[str]:
        yield slug
        yield from (f"{slug}-{n}" for n in range(1, 99))


class Caller:
    """One ensure or apply. Each step is one request, and other callers act between two steps."""

    def __init__(self, server: Server, machine: Machine) -> None:
        self.server = server
        self.machine = machine
        self.step = self.machine.start()
        self.late: list[tuple[int, dict[str, Any]]] = []
        self.lost_creates = 0

    @property
    def done(self) -> bool:
        return isinstance(self.step, (Finish, Fail))

    def go(self, fault: str) -> None:
        rows = self.server.rows
        match self.step:
            case Read():
                found = list(rows.values())
                self.step = self.machine.read(find_workload(found, "support-bot"), slugs_of(found))
            case Create(body, generation):
                if fault != "none":
                    self.lost_creates += 1
                if fault == "late":
                    self.late.append((generation, body))
                if fault in ("late", "never"):
                    self.step = self.machine.unknown(LOST)
                    return
                stored = self.server.create((id(self), generation), body)
                self.step = (
                    self.machine.unknown(LOST) if fault == "lost" else self.machine.created(stored)
                )
            case Update(workload_id, body):
                if fault in ("late", "never"):
                    self.step = self.machine.unknown(LOST)
                elif workload_id not in rows:
                    self.step = self.machine.gone()
                else:
                    row = rows[workload_id] = {**rows[workload_id], **body}
                    self.step = (
                        self.machine.unknown(LOST)
                        if fault == "lost"
                        else self.machine.updated(workload(row))
                    )
            case Discard(workload_id):
                assert self.server.owners[workload_id][0] == id(self), (
                    "never another caller's workload"
                )
                assert rows.pop(workload_id)["slug"] != "support-bot"
                self.step = self.machine.discarded()

    def land(self) -> None:
        """A create that was given up arrives after all."""
        if self.late:
            generation, body = self.late.pop(0)
            self.server.create((id(self), generation), body)


FAULTS = st.sampled_from(["none", "none", "none", "lost", "never", "late"])


@settings(max_examples=300)
@given(
    honours_keys=st.booleans(),
    commands=st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
    taken=st.lists(
        st.sampled_from(["support-bot-1", "support-bot-2", "other"]), unique=True, max_size=3
    ),
    schedule=st.lists(st.tuples(st.integers(0, 3), FAULTS, st.booleans()), max_size=40),
)
def test_any_interleaving_ends_with_exactly_one(
    honours_keys: bool, commands: list[str], taken: list[str], schedule: list[tuple[int, str, bool]]
) -> None:
    server = Server(honours_keys)
    for slug in taken:
        server.create((0, len(server.owners)), {**create_body(SPEC), "slug": slug})
    before = dict(server.rows)
    callers = [
        Caller(server, Converge(attrs.evolve(SPEC, command=command), OnDrift.RECONCILE, "acme"))
        for command in commands
    ]
    for who, fault, lands in schedule:
        caller = callers[who % len(callers)]
        if not caller.done:
            caller.go(fault)
        if lands:
            caller.land()
    for _ in range(40):
        for caller in callers:
            if not caller.done:
                caller.go("none")
    for caller in callers:
        while caller.late:
            caller.land()

    assert all(caller.done for caller in callers), "every ensure ends"
    assert before.items() <= server.rows.items(), "a workload of another caller was changed"
    ours = [row for id, row in server.rows.items() if id not in before]
    winners = [row for row in ours if row["slug"] == "support-bot"]
    finished = [caller for caller in callers if isinstance(caller.step, Finish)]
    if finished:
        assert len(winners) == 1
        assert winners[0]["config"]["command"] in commands
    assert all(
        caller.step.slug == "support-bot" for caller in finished if isinstance(caller.step, Finish)
    )
    failed = [caller.step.error for caller in callers if isinstance(caller.step, Fail)]
    assert all(error is LOST for error in failed)
    # Each lost response leaves at most one duplicate. Without a loss, none is left.
    assert len(ours) - len(winners) <= sum(caller.lost_creates for caller in callers)
    # A caller stops after three lost responses in a row. Before that, a server that honours
    # keys has no duplicate left.
    if (
        honours_keys
        and len(finished) == len(callers)
        and all(caller.lost_creates < 3 for caller in callers)
    ):
        assert len(ours) == 1


@settings(max_examples=300)
@given(
    honours_keys=st.booleans(),
    there=st.sampled_from([None, "a", "b"]),
    wanted=st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
    schedule=st.lists(st.tuples(st.integers(0, 2), FAULTS), max_size=30),
    changes=st.sets(st.integers(0, 30), max_size=2),
)
def test_any_interleaving_of_applies_carries_out_a_plan_or_nothing(
    honours_keys: bool,
    there: str | None,
    wanted: list[str],
    schedule: list[tuple[int, str]],
    changes: set[int],
) -> None:
    server = Server(honours_keys)
    if there is not None:
        server.create((0, 0), create_body(attrs.evolve(SPEC, command=there)))
    before = find_workload(list(server.rows.values()), "support-bot")
    plans = [
        make_plan(attrs.evolve(SPEC, command=command), before, project="acme") for command in wanted
    ]
    callers = [Caller(server, Apply(plan)) for plan in plans]
    disturbed = False
    turns = [*schedule, *[(who, "none") for _ in range(40) for who in range(3)]]
    for turn, (who, fault) in enumerate(turns):
        if turn in changes and server.rows:
            # Somebody else changes what is there.
            disturbed = True
            for row in server.rows.values():
                row["description"] = "somebody else's"
        caller = callers[who % len(callers)]
        if not caller.done:
            caller.go(fault)
    losses = sum(caller.lost_creates for caller in callers)
    for caller, plan in zip(callers, plans, strict=True):
        step = caller.step
        assert caller.done
        if isinstance(step, Finish):
            assert (step.slug, step.plan.action, patch_body(step.plan)) == (
                "support-bot",
                plan.action,
                patch_body(plan),
            )
            if plan.action == "create" and step.plan.workload_id is not None:
                # Who keeps a record of what is its own to delete goes by this.
                assert server.owners[step.plan.workload_id][0] == id(caller)
        elif isinstance(step, Fail):
            assert isinstance(step.error, DriftError) or step.error is LOST
    finished = [caller.step for caller in callers if isinstance(caller.step, Finish)]
    mains = [row for row in server.rows.values() if row["slug"] == "support-bot"]
    # Each stored command was there before or is one of a plan, and only one create got the slug.
    assert all(row["config"]["command"] in {there, *wanted} for row in server.rows.values())
    assert len(mains) <= 1
    if finished:
        assert len(mains) == 1
    if there is None and not losses and not disturbed:
        assert len(finished) == 1, "one create is carried out, the others are refused"
        assert len(server.rows) == 1, "and leave nothing behind"


def test_a_lost_response_leaves_the_outcome_unknown_until_the_server_responds() -> None:
    made = machine()
    assert not made.outcome_unknown
    made.read(None)
    made.unknown(LOST)
    assert made.outcome_unknown
    made.read(live())  # whose is it?
    assert made.outcome_unknown
    made.created(live())
    assert not made.outcome_unknown

    made = machine()
    made.read(DRIFTED)
    made.unknown(LOST)
    assert made.outcome_unknown
    made.read(DRIFTED)
    made.updated(live())
    assert not made.outcome_unknown
