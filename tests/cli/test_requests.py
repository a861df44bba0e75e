"""How many connections and requests a command makes, counted by a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from faults.calls import TOKEN
from faults.plane import Plane

from cli.shell import Done, run_here, workload


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as server:
        yield server


def run(plane: Plane, folder: Path, *words: str) -> Done:
    env = {
        "INFERENCEKEY_BASE_URL": plane.url,
        "INFERENCEKEY_PROJECT": "acme",
        "INFERENCEKEY_SDK_TOKEN": TOKEN,
    }
    plane.requests.clear()
    plane.connections.clear()
    return run_here(*words, folder=folder, env=env)


def lists(plane: Plane) -> int:
    """How many times a project was listed."""
    return sum(
        request.method == "GET" and urlsplit(request.path).path.endswith("/workloads")
        for request in plane.requests
    )


def test_apply_lists_each_project_twice_and_keeps_its_connections(
    plane: Plane, tmp_path: Path
) -> None:
    """Once for the plan and once for the apply, because a question may come between them."""
    texts = [workload(f"w-{n}", project="ab"[n % 2]) for n in range(40)]
    (tmp_path / "inferencekey.toml").write_text("\n".join(texts))
    done = run(plane, tmp_path, "apply", "--yes")
    assert done.code == 0, done.err
    # The plan also lists the client's own project, where removed workloads may be.
    assert lists(plane) == 3 + 2
    assert plane.count("POST") == 40
    assert len(plane.requests) == 45
    assert len(plane.connections) <= 8


def test_apply_of_no_change_makes_one_connection(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "inferencekey.toml").write_text(workload("one"))
    assert run(plane, tmp_path, "apply", "--yes").code == 0
    assert (lists(plane), len(plane.requests), len(plane.connections)) == (2, 3, 1)
    assert run(plane, tmp_path, "apply", "--yes").code == 0
    assert (lists(plane), len(plane.requests), len(plane.connections)) == (1, 1, 1)


def test_a_wait_after_the_apply_uses_the_same_client(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "inferencekey.toml").write_text(workload("one"))
    plane.readiness = {"one": [{"phase": "ready", "message": "it is ready"}]}
    done = run(plane, tmp_path, "apply", "--yes", "--wait", "--json")
    assert done.code == 0, done.err
    assert [json.loads(line).get("phase") for line in done.out.splitlines()] == [None, "ready"]
    assert plane.count("GET", "/readiness-events") == 1
    assert len(plane.requests) == 4
    assert len(plane.connections) == 1


def test_destroy_and_a_saved_plan(plane: Plane, tmp_path: Path) -> None:
    (tmp_path / "inferencekey.toml").write_text("\n".join(workload(f"w-{n}") for n in range(20)))
    assert run(plane, tmp_path, "plan", "--out", "change.plan").code == 0
    assert (len(plane.requests), len(plane.connections)) == (1, 1)
    assert run(plane, tmp_path, "apply", "change.plan", "--yes").code == 0
    assert (lists(plane), plane.count("POST")) == (2, 20)
    assert run(plane, tmp_path, "destroy", "--yes").code == 0
    assert (lists(plane), plane.count("DELETE")) == (2, 20)
    assert plane.rows == {}
