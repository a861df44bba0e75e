"""Which plans can be applied at all."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from inferencekey._core.control.plans import check_plan, make_plan
from inferencekey._core.control.wire import workload
from inferencekey.errors import ValidationError
from inferencekey.models import FieldDiff, Plan, WorkloadSpec

SPEC = WorkloadSpec(name="Bot", slug="Support Bot", model="m", backend="vllm", command="c")
LIVE = workload(
    {"id": "w-1", "slug": "support-bot", "name": "Bot", "model_name": "m", "backend": "vllm"}
)

CREATE = make_plan(SPEC, None, project="acme")
UPDATE = make_plan(SPEC, LIVE, project="acme")
NONE = make_plan(SPEC.evolve(command=None), LIVE, project="acme")


@pytest.mark.parametrize("plan", [CREATE, UPDATE, NONE])
def test_accepts_the_plans_that_plan_makes(plan: Plan) -> None:
    check_plan(plan)
    check_plan(Plan.from_dict(plan.to_dict()))


@pytest.mark.parametrize(
    ("plan", "changes", "text"),
    [
        (
            CREATE,
            {"workload_slug": "Support Bot"},
            "'Support Bot' is not a slug in canonical form",
        ),
        (NONE, {"workload_slug": ""}, "'' is not a slug in canonical form"),
        (CREATE, {"workload_slug": "other"}, "it creates 'support-bot' but was made for 'other'"),
        (
            CREATE,
            {"changes": ()},
            "it creates a workload without name, slug, task_type, backend, model_name",
        ),
        (
            CREATE,
            {"workload_id": "w-1"},
            "its action does not fit its workload_id and state",
        ),
        (
            CREATE,
            {"state": "s"},
            "its action does not fit its workload_id and state",
        ),
        (
            UPDATE,
            {"state": None},
            "its action does not fit its workload_id and state",
        ),
        (
            NONE,
            {"workload_id": None},
            "its action does not fit its workload_id and state",
        ),
        (UPDATE, {"changes": ()}, "it is an update without changes"),
        (
            NONE,
            {"changes": UPDATE.changes},
            "it changes a field twice, or one that cannot be changed: config",
        ),
        (
            UPDATE,
            {"changes": (FieldDiff("slug", "a", "b"),)},
            "it changes a field twice, or one that cannot be changed",
        ),
        (
            UPDATE,
            {"changes": UPDATE.changes * 2},
            "it changes a field twice, or one that cannot be changed",
        ),
        (
            CREATE,
            {"changes": (*CREATE.changes, FieldDiff("id", None, "x"))},
            "it changes a field twice, or one that cannot be changed",
        ),
    ],
)
def test_rejects_the_plans_that_plan_never_makes(
    plan: Plan, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        check_plan(attrs.evolve(plan, **changes))
    assert str(caught.value).startswith(f"validation error: cannot apply this plan: {text}")
    assert str(caught.value).endswith("; make a new one with plan(spec)")


def test_rejects_a_plan_of_another_type_or_project() -> None:
    with pytest.raises(ValidationError, match="plan must be a Plan; got WorkloadSpec"):
        check_plan(SPEC)  # type: ignore[arg-type]
    for project in ("", "../other"):
        with pytest.raises(ValidationError, match="project must"):
            check_plan(attrs.evolve(CREATE, project_slug=project))


def test_half_a_character_in_a_plan() -> None:
    changes = (FieldDiff("config", {}, {"a": ["half\ud83d"]}),)
    plan = Plan("update", changes, "acme", "bot", "w-1", "0" * 8)
    with pytest.raises(
        ValidationError, match=r"changes\[0\]\.config\[1\]\.a\[0\] must not contain"
    ):
        check_plan(plan)
