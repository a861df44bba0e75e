"""Plans in files."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from faults.plane import Plane

from deploy.deployments import call, lock, workload, write
from inferencekey import ConfigurationError, Plan, ValidationError
from inferencekey.deploy import ManifestPlan, read_plan, write_plan
from inferencekey.models import FieldDiff


def test_a_plan_that_was_saved_is_applied_later(plane: Plane, tmp_path: Path) -> None:
    path = write(tmp_path, workload("one"), workload("two"))
    plan = call("sync", plane, "plan", path)
    write_plan(plan, tmp_path / "change.plan")
    write(tmp_path, workload("one"))
    again = read_plan(str(tmp_path / "change.plan"))
    assert again == plan
    call("sync", plane, "apply", again)
    assert plane.slugs() == sorted(lock(tmp_path)) == ["one", "two"]


def test_only_an_earlier_plan_is_overwritten(plane: Plane, tmp_path: Path) -> None:
    path = write(tmp_path, workload("one"))
    plan = call("sync", plane, "plan", path)
    with pytest.raises(ValidationError, match="is the manifest's lock file"):
        write_plan(plan, plan.lock_path)
    for name in ("inferencekey.toml", "notes.json"):
        (tmp_path / "notes.json").write_text("{}")
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ValidationError, match="name another file"):
            write_plan(plan, tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    write_plan(plan, tmp_path / "change.plan")
    write(tmp_path, workload("other"))
    later = call("sync", plane, "plan", path)
    write_plan(later, tmp_path / "change.plan")
    assert read_plan(tmp_path / "change.plan") == later


def test_a_plan_with_a_credential_is_not_saved(plane: Plane, tmp_path: Path) -> None:
    plane.add("one", name="one", description="ik_live_0a1b2c3d_" + "e" * 64)
    plan = call("sync", plane, "plan", write(tmp_path, workload("one", description="none")))
    with pytest.raises(ConfigurationError, match="has a credential"):
        write_plan(plan, tmp_path / "change.plan")
    assert not (tmp_path / "change.plan").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", '{"format": 1, "digest": "x"}'])
def test_another_file_is_not_a_saved_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValidationError, match="file is not a saved plan"):
        read_plan(tmp_path / "file")


def test_a_plan_is_read_where_its_manifest_is(plane: Plane, tmp_path: Path) -> None:
    path = write(tmp_path, workload("one"))
    write_plan(call("sync", plane, "plan", path), tmp_path / "change.plan")
    path.unlink()
    with pytest.raises(ValidationError, match="which does not exist here"):
        read_plan(tmp_path / "change.plan")


def test_half_a_character_is_refused_by_field(tmp_path: Path) -> None:
    half = "a\ud800b"
    one = Plan("create", (FieldDiff("config", None, {"a": [half]}),), "acme", "one")
    plan = ManifestPlan(
        base_url="http://x",
        manifest_path=tmp_path / "m.toml",
        lock_path=tmp_path / "m.lock",
        plans=(one,),
    )
    with pytest.raises(
        ValidationError, match=r"plans\.0\.changes\.0\.after\.a\.0 contains invalid Unicode"
    ):
        write_plan(plan, tmp_path / "saved")
    with pytest.raises(ValidationError, match=r"changes\.0\.after\.a\.0 contains invalid Unicode"):
        Plan.from_dict(one.to_dict())
    named = attrs.evolve(plan, plans=(), manifest_path=tmp_path / half)
    with pytest.raises(ValidationError, match="the plan's manifest contains invalid Unicode"):
        write_plan(named, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    path = tmp_path / "saved"
    path.write_text('{"format": 1, "base_url": "\\ud800"}')
    with pytest.raises(ValidationError, match="is not a saved plan"):
        read_plan(path)
    with pytest.raises(ValidationError, match="the plan's base_url contains invalid Unicode"):
        ManifestPlan.from_dict({"format": 1, "base_url": half})
