"""The fault matrix has a row for every call that a client can make."""

from __future__ import annotations

import inspect

from faults.calls import CALLS

from inferencekey import AsyncEndpoint, AsyncManagementClient

OTHER_CALLS = {
    "ensure": "tests/core/control/test_converge.py and tests/e2e/test_converge.py",
    "ensure_all": "tests/async/test_bulk.py",
    "apply": "tests/core/control/test_converge.py",
    "apply_all": "tests/async/test_apply_all.py",
    "plan": "reads as list_workloads does",
    "get_workload": "reads as list_workloads does",
    "wait_all": "waits as wait_until_ready does",
    "logs": "tests/async/test_waiting.py",
}
"""Calls that the matrix leaves out, with the place of their faults or the call that they repeat."""


def calls_of(client: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_") and name != "aclose"
    }


def test_every_call_of_an_endpoint_is_in_the_matrix() -> None:
    assert calls_of(AsyncEndpoint) <= CALLS.keys()


def test_every_call_of_the_control_plane_is_in_the_matrix_or_has_another_place() -> None:
    assert calls_of(AsyncManagementClient) == {
        name for name in {*CALLS, *OTHER_CALLS} if name not in calls_of(AsyncEndpoint)
    }
