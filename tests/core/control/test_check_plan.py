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
def test_what_plan_makes_can_be_applied(plan: Plan) -> None:
    check_plan(plan)
    check_plan(Plan.from_dict(plan.to_dict()))


@pytest.mark.parametrize(
    ("plan", "changes", "text"),
    [
        (
            CREATE,
            {"workload_slug": "Support Bot"},
            "'Support Bot' is no slug as the platform stores it",
        ),
        (NONE, {"workload_slug": ""}, "'' is no slug as the platform stores it"),
        (CREATE, {"workload_slug": "other"}, "it creates 'support-bot', but is of 'other'"),
        (
            CREATE,
            {"changes": ()},
            "it creates a workload without name, slug, task_type, backend, model_name",
        ),
        (
            CREATE,
            {"workload_id": "w-1"},
            "its action and what it says of the live workload contradict each other",
        ),
        (
            CREATE,
            {"state": "s"},
            "its action and what it says of the live workload contradict each other",
        ),
        (
            UPDATE,
            {"state": None},
            "its action and what it says of the live workload contradict each other",
        ),
        (
            NONE,
            {"workload_id": None},
            "its action and what it says of the live workload contradict each other",
        ),
        (UPDATE, {"changes": ()}, "it updates nothing"),
        (
            NONE,
            {"changes": UPDATE.changes},
            "its changes are of fields that it cannot change, or twice of one: config",
        ),
        (
            UPDATE,
            {"changes": (FieldDiff("slug", "a", "b"),)},
            "its changes are of fields that it cannot change",
        ),
        (
            UPDATE,
            {"changes": UPDATE.changes * 2},
            "its changes are of fields that it cannot change, or twice of one",
        ),
        (
            CREATE,
            {"changes": (*CREATE.changes, FieldDiff("id", None, "x"))},
            "its changes are of fields that it",
        ),
    ],
)
def test_what_plan_never_makes_is_refused(plan: Plan, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_plan(attrs.evolve(plan, **changes))
    assert str(caught.value).startswith(f"validation error: this is no plan to apply: {text}")
    assert str(caught.value).endswith("; make it with plan(spec)")


def test_what_is_no_plan_or_goes_nowhere() -> None:
    with pytest.raises(ValidationError, match="plan must be a Plan; got WorkloadSpec"):
        check_plan(SPEC)  # type: ignore[arg-type]
    for project in ("", "../other"):
        with pytest.raises(ValidationError, match="project must"):
            check_plan(attrs.evolve(CREATE, project_slug=project))
