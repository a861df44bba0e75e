"""The documentation's own programs run as written."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from platforms.up import Up, environment

from inferencekey import (
    AsyncDataClient,
    DataClient,
    ManagementClient,
    PermissionDenied,
    TaskType,
    WorkloadSpec,
)

pytestmark = pytest.mark.engine

SEEDS = Path(__file__).parent.parent / "data" / "seeds"


def source(*names: str) -> str:
    return "\n".join((SEEDS / f"{name}.py").read_text(encoding="utf-8") for name in names)


def run(text: str, up: Up, **extra: str) -> str:
    """Run a program with what a user would have exported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env=environment({**up.env, **extra}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_provisioning_twice_leaves_one_workload(up: Up) -> None:
    for _ in range(2):
        assert run(source("provision"), up) == "project:  acme\nworkload: support-bot\n"
    with ManagementClient(base_url=up.base_url, project="acme", sdk_token=up.sdk_token) as mgmt:
        slugs = [w.slug for w in mgmt.list_workloads() if w.slug.startswith("support-bot")]
    assert slugs == ["support-bot"]


def test_provisioning_from_several_processes_at_once_leaves_one(up: Up) -> None:
    text = source("provision").replace('"support-bot"', '"raced-bot"')
    with ThreadPoolExecutor(5) as pool:
        outputs = set(pool.map(lambda _: run(text, up), range(5)))
    assert outputs == {"project:  acme\nworkload: raced-bot\n"}
    with ManagementClient(base_url=up.base_url, project="acme", sdk_token=up.sdk_token) as mgmt:
        assert [w.slug for w in mgmt.list_workloads() if w.slug.startswith("raced-bot")] == [
            "raced-bot"
        ]


def test_the_call_that_follows_it(up: Up) -> None:
    text = source("provision", "call").replace("ik_live_...", up.mint("acme/support-bot"))
    assert len(run(text, up).splitlines()) >= 3


def test_first_call(up: Up) -> None:
    run(source("provision"), up)
    out = run(
        source("first_call"),
        up,
        SUPPORT_IK_LIVE=up.mint("acme/support-bot"),
        INFERENCEKEY_API_KEY="",
    )
    assert out.splitlines()[-1] == "SmolLM2-135M-Instruct"


def test_streaming(up: Up) -> None:
    run(source("provision"), up)
    key = up.mint("acme/support-bot")
    out = run(source("first_call", "streaming"), up, SUPPORT_IK_LIVE=key)
    assert out.partition("SmolLM2-135M-Instruct\n")[2]


def test_embeddings(up: Up) -> None:
    with ManagementClient(base_url=up.base_url, project="acme", sdk_token=up.sdk_token) as mgmt:
        mgmt.ensure(
            WorkloadSpec(
                name="billing",
                slug="billing",
                model="minilm",
                backend="llamacpp",
                task_type=TaskType.EMBEDDING,
            )
        )
    out = run(source("embeddings"), up, BILLING_IK_LIVE=up.mint("acme/billing"))
    assert out.splitlines() == ["2", "384", "all-MiniLM-L6-v2"]


def test_wrong_credential_type(up: Up) -> None:
    with (
        DataClient(base_url=up.base_url, project="acme") as data,
        pytest.raises(
            PermissionDenied, match=r"^permission denied \[wrong_credential_type\]: ik_sdk_"
        ) as caught,
    ):
        data.endpoint("support-bot", api_key=up.sdk_token)
    assert caught.value.code == "wrong_credential_type"
    assert up.sdk_token not in str(caught.value)


@pytest.mark.parametrize(
    ("grant", "code"),
    [("other/support-bot", "project_scope_mismatch"), ("acme/billing", "scope_insufficient")],
)
@pytest.mark.parametrize("call", ["generate_text", "generate_text_stream"])
def test_the_other_403s(up: Up, grant: str, code: str, call: str) -> None:
    key = up.mint(grant)
    with DataClient(base_url=up.base_url, project="acme") as data:
        ep = data.endpoint("support-bot", api_key=key)
        with pytest.raises(PermissionDenied, match=rf"^permission denied \[{code}\]: ") as caught:
            getattr(ep, call)(prompt="Hola")
    assert (caught.value.code, caught.value.status) == (code, 403)
    assert caught.value.request_id
    assert key not in str(caught.value) + repr(caught.value.__dict__)


@pytest.mark.anyio
async def test_the_other_403s_awaited(up: Up) -> None:
    async with AsyncDataClient(base_url=up.base_url, project="acme") as data:
        ep = data.endpoint("support-bot", api_key=up.mint("other/*"))
        with pytest.raises(PermissionDenied) as caught:
            await ep.generate_text_stream(prompt="Hola")
    assert caught.value.code == "project_scope_mismatch"
