"""A plan: its text, and that the plan that was reviewed is the one that is applied."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from inferencekey.errors import ValidationError
from inferencekey.models import FieldDiff, Plan, PlanLine

UPDATE = Plan(
    "update",
    (
        FieldDiff("name", "Old", "New"),
        FieldDiff("description", None, "d"),
        FieldDiff(
            "config",
            {"a": 1, "b": {"c": 1, "d": 2}, "e": None},
            {"a": 1, "b": {"c": 3, "d": 2}, "e": 5, "f": [1]},
        ),
        FieldDiff("execution_policy_config", {"cron": "0 2 * * *"}, {"replicas": 1}),
    ),
    "acme",
    "bot",
    "w-1",
    "state",
)
CREATE = Plan(
    "create",
    (FieldDiff("name", None, "n"), FieldDiff("config", None, {"command": "c"})),
    "acme",
    "bot",
)
NONE = Plan("none", (), "acme", "bot", "w-1", "state")


def shown(before: Any, after: Any, field: str = "config.x") -> str:
    """Return what is printed of one change."""
    plan = Plan("update", (FieldDiff(field, before, after),), "acme", "bot", "w-1", "s")
    head, *lines = str(plan).split("\n")
    assert head == "~ acme/bot: update"
    return "\n".join(lines)


def test_a_plan_without_changes() -> None:
    assert str(NONE) == "= acme/bot: no change"


def test_a_plan_prints_only_what_changes() -> None:
    assert str(UPDATE) == (
        "~ acme/bot: update\n"
        "~     name:\n"
        "-         'Old'\n"
        "+         'New'\n"
        "+     description: 'd'\n"
        "~     config.b.c:\n"
        "-         1\n"
        "+         3\n"
        "+     config.e: 5\n"
        "+     config.f: [1]\n"
        "+     execution_policy_config.replicas: 1\n"
        "-     execution_policy_config.cron: '0 2 * * *'"
    )
    assert UPDATE.lines()[1:3] == (PlanLine("~", "    name:"), PlanLine("-", "        'Old'"))


def test_a_create_prints_every_field() -> None:
    assert str(CREATE) == "+ acme/bot: create\n+     name: 'n'\n+     config.command: 'c'"


def test_a_command_is_compared_flag_by_flag() -> None:
    before = "vllm serve m --max-model-len 4096 --dtype half --port 80 -tp 2 --seed 1 --quiet"
    after = (
        "vllm serve m --max-model-len 8192 --dtype half --port 80 -tp 2 --seed 1 --quiet --trust"
    )
    assert shown(before, after) == (
        "~     config.x:\n"
        "          vllm serve m\n"
        "-         --max-model-len 4096\n"
        "+         --max-model-len 8192\n"
        "          --dtype half\n"
        "          --port 80\n"
        "          …\n"
        "          --seed 1\n"
        "          --quiet\n"
        "+         --trust"
    )


def test_lines_are_compared_line_by_line() -> None:
    before = "".join(f"line {n}\n" for n in range(9))
    assert shown(before, before.replace("line 4", "line four")) == (
        "~     config.x:\n"
        "          …\n"
        "          line 2\n"
        "          line 3\n"
        "-         line 4\n"
        "+         line four\n"
        "          line 5\n"
        "          line 6\n"
        "          …"
    )
    assert shown(None, "a\nb\n") == "+     config.x:\n+         a\n+         b"
    assert shown("a\nb", "c") == "~     config.x:\n-         a\n-         b\n+         c"


def test_long_lists_are_compared_item_by_item() -> None:
    assert shown(["a", "b", "c"], ["a", "c"]) == (
        "~     config.x:\n          'a'\n-         'b'\n          'c'"
    )
    assert shown([1], [2]) == "~     config.x:\n-         [1]\n+         [2]"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (True, 1, "~     config.x:\n-         True\n+         1"),
        ({"a": True}, {"a": 1}, "~     config.x.a:\n-         True\n+         1"),
        (
            "a b --c 1",
            "a  b --c 1",
            "~     config.x:\n-         a b\n+         a  b\n          --c 1",
        ),
        ("a --c 1", "a  --c 1", "~     config.x:\n-         'a --c 1'\n+         'a  --c 1'"),
        ("a\n", "a", "~     config.x:\n-         'a\\n'\n+         'a'"),
        (None, {}, "+     config.x: {}"),
        ({"a": 1}, {}, "~     config.x:\n-         {'a': 1}\n+         {}"),
        ({"a": {"b": 1}}, {"a": None}, "~     config.x.a:\n-         {'b': 1}\n+         None"),
        ({"a": 1}, {"a": 1, "b": {}}, "+     config.x.b: {}"),
        (None, {"a": None}, "+     config.x.a: None"),
        ({"a": 1}, {"a": 1}, "      config.x: {'a': 1} (unchanged, sent again)"),
        ([1, 2], [1, 2], "      config.x: [1, 2] (unchanged, sent again)"),
        ([1], [True], "~     config.x:\n-         [1]\n+         [True]"),
    ],
)
def test_odd_changes_are_shown_as_well(before: Any, after: Any, text: str) -> None:
    assert shown(before, after) == text


def test_a_printed_plan_has_no_control_characters_and_no_credentials() -> None:
    token = "ik_live_0a1b2c3d_" + "f" * 64
    text = shown(
        {"a\x1b[2J": 1, "c": f"x --key {token} -b"},
        {"a\x1b[2J": 2, "c": "x --key y -b", "d": "\x1b[1m\nb"},
    )
    assert "\x1b" not in text
    assert "~     config.x.a\\x1b[2J:" in text
    assert "-         --key ik…" in text
    assert token not in text
    assert token not in shown(token, "b") + shown(None, {"t": [token]}) + shown(
        {"k": token}, {"k2": 1}
    )


@pytest.mark.parametrize("plan", [UPDATE, CREATE, NONE, Plan("none")])
def test_a_plan_goes_to_json_and_back(plan: Plan) -> None:
    told = plan.to_dict()
    assert told["digest"] == plan.digest
    assert len(bytes.fromhex(plan.digest)) == 32
    again = Plan.from_dict(json.loads(json.dumps(told)))
    assert again == plan
    assert again.digest == plan.digest
    assert str(again) == str(plan)


def test_the_digest_is_over_everything() -> None:
    plans = [
        CREATE,
        UPDATE,
        NONE,
        Plan("none", (), "acme", "bot", "w-2", "state"),
        Plan("none", (), "acme", "bot", "w-1", "other"),
        Plan("none", (), "acme", "bots", "w-1", "state"),
        Plan("none", (), "acm", "ebot", "w-1", "state"),
        Plan("update", UPDATE.changes[::-1], "acme", "bot", "w-1", "state"),
        Plan("update", UPDATE.changes[1:], "acme", "bot", "w-1", "state"),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert (
        Plan("update", (FieldDiff("config", None, one),)).digest
        == Plan("update", (FieldDiff("config", None, other),)).digest
    ), "an object's order means nothing"


def test_a_plan_is_hashable_if_its_content_is() -> None:
    assert hash(NONE) == hash(Plan("none", (), "acme", "bot", "w-1", "state"))
    assert len({NONE, Plan("update", (FieldDiff("name", "a", "b"),))}) == 2
    with pytest.raises(TypeError):
        hash(UPDATE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"workload_slug": "other"},
            "its content does not match its digest, so it was changed after it was made; make "
            "a new plan",
        ),
        ({"changes": []}, "its content does not match its digest"),
        ({"state": None}, "its content does not match its digest"),
        ({"digest": None}, "digest must be a string"),
        ({"action": "destroy"}, "action must be one of create, update, none; got 'destroy'"),
        ({"action": ["create"]}, "action must be a string"),
        ({"workload_id": 5}, "workload_id must be a string"),
        ({"changes": None}, "changes must be a list"),
        ({"changes": "name"}, "changes must be a list"),
        (
            {"changes": ["name"]},
            "each item of changes must be a mapping with exactly field, before and after",
        ),
        (
            {"changes": [{"field": "name", "after": 1}]},
            "each item of changes must be a mapping with exactly field, before and after",
        ),
        (
            {"changes": [{"field": 5, "before": 1, "after": 1}]},
            "the field of a change must be a string",
        ),
        ({"note": 1, "version": 2}, "unknown fields: note, version"),
    ],
)
def test_rejects_a_plan_that_was_changed(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Plan.from_dict({**UPDATE.to_dict(), **change})
    assert str(caught.value).startswith(f"validation error: not a valid plan: {text}")


@pytest.mark.parametrize("given", [None, "plan", [], 5])
def test_rejects_a_value_that_is_not_a_plan(given: Any) -> None:
    with pytest.raises(ValidationError, match="not a valid plan: it must be a mapping"):
        Plan.from_dict(given)


def test_a_plan_that_was_carried_out_keeps_its_digest() -> None:
    reviewed = Plan("create", (FieldDiff("name", None, "a"),), "acme", "a")
    done = attrs.evolve(reviewed, workload_id="w-1")
    assert done.digest == reviewed.digest == done.to_dict()["digest"]
    assert Plan.from_dict(done.to_dict()) == done
    assert (
        attrs.evolve(done, action="update").digest != attrs.evolve(reviewed, action="update").digest
    )
