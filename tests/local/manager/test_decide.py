"""How many engines a policy asks for, at any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.control.policies import check_policy
from inferencekey._core.control.windows import parse_window, window_open
from inferencekey.errors import ValidationError
from inferencekey.local.manager.balance import least_busy
from inferencekey.local.manager.refusal import not_scheduled
from inferencekey.local.manager.target.cron import LONGEST, check_schedule, last_fire, next_fire
from inferencekey.local.manager.target.decide import (
    CRON_IDLE_SECONDS,
    MAX_RECHECK_SECONDS,
    Desired,
    Observation,
    decide,
    load_level,
)
from inferencekey.local.manager.target.policy import (
    Autoscaling,
    Fixed,
    ScheduledCron,
    ScheduledWindow,
    default_max_replicas,
    policy_of,
)
from inferencekey.local.records import StoredWorkload

NOON = datetime(2025, 3, 5, 12, 0, tzinfo=UTC)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
NONE = Desired(replicas=0)


def policy(kind: str | None, config: dict[str, Any] | None, most: int = 8) -> Any:
    check_policy(kind, config)
    workload = StoredWorkload(
        id="w",
        project="acme",
        slug="w",
        name="w",
        task_type="text2text",
        backend="vllm",
        model_name="m",
        execution_policy=kind,
        execution_policy_config=config,
        created_at="",
        updated_at="",
    )
    return policy_of(workload, most)


CLOUD = {
    "source": "cloud",
    "cloud_pool": {"gpu_pool": ["L4"], "max_hourly_cost_usd": 1, "max_instances": 9},
}


def test_policies_are_read() -> None:
    assert policy(None, None) == Fixed(1, 1)
    assert policy("fixed", None) == Fixed(1, 1)
    assert policy("fixed", {"replicas": 3}) == Fixed(3, 3)
    assert policy("fixed", {"replicas": 30}) == Fixed(8, 30)
    assert policy("scheduled", {"cron": " 0  2 * * * "}) == ScheduledCron("0 2 * * *")
    window = policy("scheduled", {"window": "Mon-Fri  08:00-20:00 Europe/Madrid"})
    assert window == ScheduledWindow(
        parse_window("Mon-Fri 08:00-20:00 Europe/Madrid"), "Mon-Fri 08:00-20:00 Europe/Madrid"
    )
    scaled = {"min_workers": 20, "max_workers": 50, "max_hourly_cost_usd": 2.5, "workers": CLOUD}
    assert policy("autoscaling", scaled) == Autoscaling(8, 8, 50)
    assert default_max_replicas() >= 4


@given(TIMES)
def test_a_window_has_one_engine_inside_and_none_outside(now: datetime) -> None:
    where = policy("scheduled", {"window": "Mon-Fri 08:00-20:00 Europe/Madrid"})
    found = decide(where, Observation(now=now, monotonic=0), NONE)
    assert found.replicas == window_open(where.window, now)
    assert (found.closed is None) == (found.replicas == 1)
    assert found.recheck is not None
    assert 0 < found.recheck <= MAX_RECHECK_SECONDS
    if found.closed is not None:
        assert found.closed.opens is not None
        assert found.closed.opens > now
        assert found.closed.message.startswith(
            "outside its window (Mon-Fri 08:00-20:00 Europe/Madrid); starts "
        )
        assert found.closed.message.endswith(" 08:00 Europe/Madrid")
        assert window_open(where.window, found.closed.opens)
        after = not_scheduled(found.closed, now).retry_after
        assert after is not None
        assert 1 <= after <= 3600


@given(
    TIMES, st.sampled_from(["0 2 * * *", "*/7 * * * *", "0 0 1 1 *", "30 6 * * mon", "59 23 * * 7"])
)
def test_a_cron_schedule_runs_for_a_while_after_it_fires(now: datetime, cron: str) -> None:
    found = decide(ScheduledCron(cron), Observation(now=now, monotonic=0), NONE)
    fired = last_fire(cron, now)
    assert fired is not None
    assert fired <= now
    assert found.replicas == ((now - fired).total_seconds() < CRON_IDLE_SECONDS)
    assert found.recheck is not None
    assert 0 < found.recheck <= MAX_RECHECK_SECONDS
    if found.closed is not None:
        assert found.closed.opens == next_fire(cron, now)


@given(TIMES)
def test_next_fire_and_last_fire_agree(now: datetime) -> None:
    first = next_fire("15 */3 * * *", now)
    assert first is not None
    assert now < first <= now + timedelta(hours=3)
    assert last_fire("15 */3 * * *", first) == first, "the moment of a fire counts"
    assert last_fire("15 */3 * * *", first - timedelta(seconds=1)) != first


def test_calls_keep_the_engine_of_a_cron_schedule_and_start_none() -> None:
    where = ScheduledCron("0 2 * * *")
    one = Desired(replicas=1)
    busy = Observation(now=NOON, monotonic=1000, load=1)
    assert decide(where, busy, one) == Desired(replicas=1)
    assert decide(where, busy, NONE).replicas == 0
    quiet = Observation(now=NOON, monotonic=1000, quiet_since=900)
    found = decide(where, quiet, one)
    assert (found.replicas, found.recheck) == (1, MAX_RECHECK_SECONDS)
    assert decide(where, quiet, NONE).replicas == 0
    long_quiet = Observation(now=NOON, monotonic=1000, quiet_since=1000 - CRON_IDLE_SECONDS)
    assert decide(where, long_quiet, one).replicas == 0


def test_rejects_a_cron_that_never_fires_and_never_starts_a_stored_one() -> None:
    for cron in ("0 0 30 2 *", "0," * LONGEST + "0 * * * *"):
        with pytest.raises(ValidationError, match=r"execution_policy_config\.cron"):
            check_schedule({"execution_policy_config": {"cron": cron}})
    found = decide(ScheduledCron("0 0 30 2 *"), Observation(now=NOON, monotonic=0), NONE)
    assert found.closed is not None
    assert found.closed.opens is None
    assert found.closed.message == "its schedule (0 0 30 2 *) never starts it"
    assert not_scheduled(found.closed, NOON).retry_after is None


FIELDS = (
    st.sampled_from(["*", "*/5", "0", "5,10", "1-30/7", "59"]),
    st.sampled_from(["*", "*/2", "0", "23", "1-5", "8-20/4,22"]),
    st.sampled_from(["*", "1", "1,15", "10-20", "28", "*/10"]),
    st.sampled_from(["*", "1", "1-6", "JAN", "jan,jul", "Mar-oct/2", "12"]),
    st.sampled_from(["*", "0", "7", "sun", "MON-fri", "1-5", "5-7", "Sat", "*/2"]),
)


@given(st.tuples(*FIELDS).map(" ".join), TIMES)
def test_each_cron_that_the_contract_accepts_can_be_evaluated(cron: str, now: datetime) -> None:
    check_policy("scheduled", {"cron": cron})
    check_schedule({"execution_policy_config": {"cron": cron}})
    fires = next_fire(cron, now)
    assert fires is not None
    assert fires > now


CRON_FIELD = st.text("0123456789*/-,", min_size=1, max_size=5) | st.sampled_from(
    ["sun", "mon-fri", "jan-dec/2", "7-1"]
)


@given(st.lists(CRON_FIELD, min_size=5, max_size=5).map(" ".join))
def test_each_accepted_cron_can_be_evaluated(cron: str) -> None:
    try:
        check_policy("scheduled", {"cron": cron})
        check_schedule({"execution_policy_config": {"cron": cron}})
    except ValidationError:
        return
    assert next_fire(cron, NOON) is not None


def test_sunday_is_0_and_7_and_has_a_name() -> None:
    sunday = datetime(2025, 3, 9, 2, 0, tzinfo=UTC)
    assert {next_fire(f"0 2 * * {day}", NOON) for day in ("0", "7", "sun", "SUN")} == {sunday}


def test_other_fields_have_no_schedule() -> None:
    check_schedule({})
    check_schedule({"execution_policy_config": None})
    check_schedule({"execution_policy_config": {"window": "Mon-Fri 08:00-20:00 UTC"}})


@given(st.integers(0, 50), st.one_of(st.none(), st.integers(1, 9)))
def test_the_load_level_counts_only_the_load_that_a_policy_depends_on(
    load: int, slots: int | None
) -> None:
    assert load_level(Fixed(3, 3), load, slots) == 0
    assert load_level(ScheduledCron("0 2 * * *"), load, slots) == min(load, 1)
    assert load_level(Autoscaling(0, 3, 3), load, slots) == (
        min(load, 1) if slots is None else -(-load // slots)
    )


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 1000))
def test_least_busy_engines_take_turns(outstanding: list[int], turn: int) -> None:
    place = least_busy(outstanding, turn)
    assert outstanding[place] == min(outstanding)
    around = [(turn + step) % len(outstanding) for step in range(len(outstanding))]
    assert next(index for index in around if outstanding[index] == min(outstanding)) == place
