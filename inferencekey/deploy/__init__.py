"""Deploy a manifest: plan what would change on the platform, and apply exactly that plan.

The commands ``plan``, ``apply`` and ``destroy`` run this library. It prints nothing, asks nothing,
and raises the errors of :mod:`inferencekey.errors`.

Every name is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing would cost more at import than all the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from inferencekey.deploy._async import AsyncDeployment
    from inferencekey.deploy._sync import Deployment
    from inferencekey.deploy.plan import LeftAlone, ManifestPlan, Removal
    from inferencekey.deploy.report import ApplyProgress, ApplyStatus, Report
    from inferencekey.deploy.saved import read_plan, write_plan

__all__ = [
    "ApplyProgress",
    "ApplyStatus",
    "AsyncDeployment",
    "Deployment",
    "LeftAlone",
    "ManifestPlan",
    "Removal",
    "Report",
    "read_plan",
    "write_plan",
]

_MODULE_OF = {
    "ApplyProgress": "report",
    "ApplyStatus": "report",
    "AsyncDeployment": "_async",
    "Deployment": "_sync",
    "LeftAlone": "plan",
    "ManifestPlan": "plan",
    "Removal": "plan",
    "Report": "report",
    "read_plan": "saved",
    "write_plan": "saved",
}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
