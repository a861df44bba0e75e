"""Installed programs as engines: small ones, well and badly behaved, and the real llama.cpp."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from platforms.installing import install

from inferencekey.local.engines.choose import EngineChooser
from inferencekey.local.engines.engine import Choice
from inferencekey.local.engines.programs.log_files import LogFiles
from inferencekey.local.engines.programs.pool import InstalledPrograms
from inferencekey.local.engines.programs.selection import programs_allowed
from inferencekey.local.engines.stand_ins.model_files import ensure_model
from inferencekey.local.engines.stand_ins.model_table import SMOLLM2
from inferencekey.local.engines.stand_ins.pool import StandInEngines
from inferencekey.local.errors import EngineError
from inferencekey.local.records import EngineRecord, StoredWorkload

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[3]
LONELY = Path(__file__).parents[1] / "programs" / "lonely_program.py"
Step = tuple[str, str, str | None]
Choose = Callable[..., Choice]


def quiet(phase: str, message: str, step: str | None) -> None:
    """Ignore progress."""


def workload(slug: str = "bot", command: str | None = None, **fields: Any) -> StoredWorkload:
    given = {
        "task_type": "text2text",
        "backend": "vllm",
        "model_name": "acme/model",
        "id": slug,
        **fields,
    }
    config = {} if command is None else {"command": command}
    return StoredWorkload(
        project="acme", slug=slug, name=slug, config=config, created_at="", updated_at="", **given
    )


@pytest.fixture
def started() -> list[EngineRecord]:
    return []


@pytest.fixture
async def programs(
    tmp_path: Path, started: list[EngineRecord], monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[InstalledPrograms]:
    install(
        monkeypatch,
        tmp_path / "bin",
        vllm="tiny_openai.py vllm",
        sglang="tiny_openai.py sglang",
        my_engine="tiny_openai.py my-engine",
        ollama="tiny_ollama.py",
        llama_server="real_llama_server.py",
    )
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama-models"))
    monkeypatch.setattr("inferencekey.local.engines.programs.pool.PAUSE_SECONDS", 0.05)
    made = InstalledPrograms(tmp_path / "data", on_started=started.append)
    yield made
    await made.aclose()
    assert not any(psutil.pid_exists(record.pid) for record in started)


@pytest.fixture
def choose(tmp_path: Path, programs: InstalledPrograms) -> Choose:
    choice = EngineChooser(StandInEngines(tmp_path / "data"), programs)
    return lambda *args, **fields: choice(workload(*args, **fields))


def log_of(choice: Choice, replica: int = 0) -> Path:
    place = choice.log(replica)
    assert place is not None
    return place.path


async def hears(engine: Any) -> str:
    """Return its whole answer to a chat."""
    headers = {"Authorization": f"Bearer {engine.api_key}"}
    body = {
        "model": engine.model_name,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 4,
        "stream": True,
    }
    text = ""
    async with (
        aiohttp.ClientSession(engine.address, headers=headers) as session,
        session.post("/v1/chat/completions", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["delta"].get("content") or ""
    return text


# What is launched


async def test_a_command_is_run_unchanged_except_for_the_port(
    choose: Choose, tmp_path: Path, started: list[EngineRecord]
) -> None:
    record = tmp_path / "record"
    choice = choose(
        command="vllm serve acme/other --max-model-len 8192 --port 8000 --max-num-seqs 3"
        f" --record {record}"
    )
    steps: list[Step] = []
    async with choice.acquire(lambda *step: steps.append(step), 0) as engine:
        seen = json.loads(record.read_text())
        port = engine.address.rpartition(":")[2]
        assert seen["argv"] == [
            *("vllm", "serve", "acme/other", "--max-model-len", "8192", "--port", port),
            *("--max-num-seqs", "3", "--record", str(record), "--host", "127.0.0.1"),
        ]
        assert seen["cwd"] == os.getcwd()
        assert (engine.model_name, engine.slots, engine.installed) == ("acme/other", 3, True)
        assert await hears(engine) == "Hello from vllm"
        assert choice.ready_message(engine.model_name) == (
            "acme/other answers, served by vllm"
            " (the platform chooses the address and replaced --port 8000)"
        )
        assert choice.engine == "vllm"
        assert steps[0][0] == "bootstrapping"
        assert steps[0][1].startswith("starting vllm serve acme/other --max-model-len 8192 --port ")
        assert len(started) == 1
        log = log_of(choice)
        assert log.parent.parent == tmp_path / "data" / "logs"
        assert log.parent.name.startswith("acme--bot.")
        heading, *said = log.read_text().splitlines()
        assert "] $ vllm serve acme/other" in heading
        assert any("vllm listens on" in line for line in said)


async def test_no_message_shows_a_secret_of_the_command(choose: Choose) -> None:
    secrets = ["my-own-key", "another-key", "hf_abcdefghijklmnop", "it's a pass"]
    command = (
        'DB_PASSWORD="it\'s a pass" vllm serve m'
        " --api-key my-own-key,another-key --hf-token hf_abcdefghijklmnop"
    )
    choice = choose(command=f'{command} --say "it\'s a pass"')
    steps: list[Step] = []
    with pytest.raises(EngineError, match="unrecognized arguments: --hf-token") as caught:
        async with choice.acquire(lambda *step: steps.append(step), 0):
            pytest.fail("it came up")
    told = [str(caught.value), *(message for _, message, _ in steps)]
    told += [line for line in log_of(choice).read_text().splitlines() if "] $ " in line]
    assert len(told) > 10
    assert not [line for line in told if any(secret in line for secret in secrets)]


@pytest.mark.parametrize(
    ("backend", "argv"),
    [
        ("vllm", ["vllm", "serve", "acme/model", "--port", "PORT", "--host", "127.0.0.1"]),
        (
            "sglang",
            [
                "sglang",
                "serve",
                "--model-path",
                "acme/model",
                "--port",
                "PORT",
                "--host",
                "127.0.0.1",
            ],
        ),
    ],
)
async def test_without_a_command_the_backend_launches_the_model(
    choose: Choose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, argv: list[str]
) -> None:
    install(
        monkeypatch,
        tmp_path / "bin",
        **{backend: f"tiny_openai.py --record {tmp_path}/record {backend}"},
    )
    choice = choose(backend=backend)
    async with choice.acquire(quiet, 0) as engine:
        seen = json.loads((tmp_path / "record").read_text())["argv"][2:]
        assert [
            word if word != engine.address.rpartition(":")[2] else "PORT" for word in seen
        ] == argv
        assert engine.model_name == "acme/model"
        assert choice.ready_message(engine.model_name) == f"acme/model answers, served by {backend}"


async def test_a_program_that_can_require_a_key_gets_one(choose: Choose, tmp_path: Path) -> None:
    async with choose(command="vllm serve m").acquire(quiet, 0) as engine:
        assert len(engine.api_key) == 64
        async with (
            aiohttp.ClientSession(engine.address) as session,
            session.get("/v1/models") as answer,
        ):
            assert answer.status == 404  # without the key
        assert engine.model_name == "m"


async def test_the_key_of_a_command_is_used_and_not_shown(choose: Choose, tmp_path: Path) -> None:
    choice = choose(command="sglang serve --model-path m --api-key my-own-key")
    steps: list[Step] = []
    async with choice.acquire(lambda *step: steps.append(step), 0) as engine:
        assert engine.api_key == "my-own-key"
        assert engine.model_name == "m"
        assert await hears(engine)
    assert "my-own-key" not in str(steps) + log_of(choice).read_text()


async def test_any_program_gets_its_port_in_the_environment(choose: Choose, tmp_path: Path) -> None:
    choice = choose(
        command=f"my-engine --health /healthz --no-models --record {tmp_path}/record",
        backend="my-own",
    )
    async with choice.acquire(quiet, 0) as engine:
        seen = json.loads((tmp_path / "record").read_text())
        assert "--port" not in seen["argv"]
        assert seen["environ"]["PORT"] == engine.address.rpartition(":")[2]
        assert (engine.model_name, engine.api_key) == ("acme/model", "")


async def test_a_program_without_known_paths_is_healthy_when_it_responds(choose: Choose) -> None:
    command = "my-engine --host $HOST --port $PORT --health /nowhere --no-models"
    async with choose(command=command, backend="my-own").acquire(quiet, 0) as engine:
        assert not engine.exited.is_set()


async def test_ollama_fetches_and_loads_the_model(choose: Choose, tmp_path: Path) -> None:
    choice = choose(backend="ollama", model_name="smollm2")
    for replica in (0, 1):
        steps: list[Step] = []
        async with choice.acquire(lambda *step, steps=steps: steps.append(step), replica) as engine:
            assert (engine.model_name, engine.slots) == ("smollm2:latest", 1)
            async with (
                aiohttp.ClientSession(engine.address) as session,
                session.get("/loaded") as answer,
            ):
                assert await answer.json() == ["/api/generate smollm2:latest"]
        said = [
            step for _, message, step in steps if message == "ollama is fetching smollm2" and step
        ]
        expected = [
            "pulling manifest",
            "download 0 %",
            "download 50 %",
            "download 100 %",
            "verifying sha256 digest",
        ]
        assert said == ([*expected, "success"] if replica == 0 else [])
        assert steps[-1] == ("bootstrapping", "ollama is loading smollm2", None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("broken", "ollama cannot fetch broken: pull model manifest: file does not exist"),
        ("huge", r"ollama cannot load huge: model requires more system memory \(400.0 GiB\)"),
    ],
)
async def test_an_error_of_ollama_is_in_the_message(
    choose: Choose, model: str, message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        async with choose(backend="ollama", model_name=model).acquire(quiet, 0):
            pytest.fail("it came up")


@pytest.mark.engine
async def test_the_real_llama_server(choose: Choose) -> None:
    path = await asyncio.to_thread(ensure_model, SMOLLM2)
    choice = choose(
        command=f"llama-server -m {path} --alias smol -c 2048 --parallel 2 --port 8080",
        backend="llamacpp",
    )
    async with choice.acquire(quiet, 0) as engine:
        assert (engine.model_name, engine.slots) == ("smol", 2)
        assert await hears(engine)
        async with (
            aiohttp.ClientSession(engine.address) as session,
            session.post("/v1/completions", json={}) as answer,
        ):
            assert answer.status == 401


# What cannot be launched


def test_a_program_that_is_not_installed_has_a_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    choose = EngineChooser(StandInEngines(tmp_path), InstalledPrograms(tmp_path))
    choice = choose(workload(command="vllm serve acme/model"))
    assert (
        choice.ready_message("Smol")
        == "vllm is not installed here: Smol answers as a stand-in for acme/model"
    )
    assert choice.engine == "the stand-in SmolLM2-135M-Instruct"
    assert choice.log(1) is None
    for fields, why in (
        ({"backend": "sglang"}, "sglang is not installed here"),
        ({"command": "python3 -m sglang.launch_server"}, "sglang is not installed here"),
        ({"command": "/opt/nowhere/my-engine"}, "/opt/nowhere/my-engine does not exist"),
        ({"command": f"{tmp_path} --port 1"}, f"{tmp_path} is not an executable program"),
        ({"backend": "my-own"}, "no program is known for the backend my-own"),
        ({"command": "A=1"}, "the command of the workload does not run a program"),
    ):
        assert choose(workload(**fields)).ready_message("Smol").startswith(f"{why}: Smol answers")
    with pytest.raises(
        EngineError,
        match="vllm is not installed here, and no stand-in engine serves forecast on this",
    ):
        choose(workload(task_type="forecast"))


def test_a_module_is_looked_for_in_the_python_that_would_run_it(
    programs: InstalledPrograms, tmp_path: Path
) -> None:
    assert (
        programs.select(workload(command=f"{sys.executable} -m sglang.launch_server")).command
        is None
    )
    assert (
        programs.select(workload(command=f"{sys.executable} -m http.server {{port}}")).command
        is not None
    )


def test_the_program_behind_a_plain_wrapper_must_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nice", "taskset", "docker", "uv", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    programs = InstalledPrograms(tmp_path)
    for command in (
        "nice -n 5 vllm serve m",
        "taskset -c 0-3 nice vllm serve m",
        "nice python3 -m sglang.launch_server",
    ):
        assert programs.select(workload(command=command)).command is None, command
    for command in (
        "uv run vllm serve m",
        "nice docker run vllm serve m",
        "uv run python -m sglang.launch_server",
    ):
        assert programs.select(workload(command=command)).command is not None, command
    (tmp_path / "vllm").symlink_to(tmp_path / "uv")
    assert programs.select(workload(command="nice -n 5 vllm serve m")).command is not None


def test_programs_are_not_run_when_switched_off_or_exposed(
    tmp_path: Path, programs: InstalledPrograms
) -> None:
    assert programs_allowed(exposed=False, environ={})
    assert not programs_allowed(exposed=True, environ={})
    assert programs_allowed(exposed=True, environ={"INFERENCEKEY_LOCAL_PROGRAMS": "1"})
    assert not programs_allowed(exposed=False, environ={"INFERENCEKEY_LOCAL_PROGRAMS": "0"})
    off = InstalledPrograms(tmp_path, allowed=False)
    found = off.select(workload(command="vllm serve m"))
    assert found.command is None
    assert (
        found.why_not == "vllm is installed but not allowed to run"
        " (set INFERENCEKEY_LOCAL_PROGRAMS=1 to allow it)"
    )
    assert (
        off.select(workload(command="/nowhere/vllm serve m")).why_not
        == "/nowhere/vllm does not exist"
    )


def test_each_workload_has_its_own_log_names() -> None:
    logs = LogFiles(Path("logs"))
    usual = logs.file("acme", "bot", "id", "ab12", 3)
    assert (usual.name, usual.parent.name.partition(".")[0]) == ("3-ab12.log", "acme--bot")
    odd = [("Acme", "bot"), ("acme", "b" * 300), (".x", "b"), ("ñ", "b")]
    folders = [logs.file(project, slug, "id", "ab12", 3).parent.name for project, slug in odd]
    assert len({name.lower() for name in [*folders, usual.parent.name]}) == 5
    assert all(len(name) < 150 and not name.startswith(".") for name in folders)


# Start, restart and end


async def test_replicas_and_commands_have_processes_of_their_own(
    choose: Choose, started: list[EngineRecord], tmp_path: Path
) -> None:
    choice = choose(command="vllm serve m")
    changed = choose(command="vllm serve m --max-num-seqs 2")
    async with (
        choice.acquire(quiet, 0) as first,
        choice.acquire(quiet, 1) as second,
        choice.acquire(quiet, 0) as again,
        changed.acquire(quiet, 0) as other,
    ):
        assert len(started) == 3
        assert first.address == again.address
        assert len({first.address, second.address, other.address}) == 3
        os.kill(started[1].pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            await second.exited.wait()
        assert second.describe_exit().startswith(
            "vllm (replica 1) ended with signal SIGKILL; last output: "
        )
        assert await hears(first) == await hears(other)
    assert len({log_of(choice, 0), log_of(choice, 1), log_of(changed, 0)}) == 3
    async with asyncio.timeout(10):
        await first.exited.wait()


async def test_the_last_line_of_the_log_is_the_step(
    choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferencekey.local.engines.programs.launch.PROGRESS_SECONDS", 0.05)
    steps: list[Step] = []
    async with choose(command="vllm serve m --loading 1 --chatter 0.1").acquire(
        lambda *step: steps.append(step), 0
    ):
        pass
    told = [step for _, message, step in steps if message == "vllm is starting"]
    assert any(
        step and step.startswith("Loading weights: ") and step.endswith(" %") for step in told
    )
    assert len(told) == len(set(told))


async def test_a_program_that_keeps_dying_fails_with_its_last_output(
    choose: Choose, started: list[EngineRecord]
) -> None:
    choice = choose(command="vllm serve m --say 'RuntimeError: no GPU was found' --exit 1")
    steps: list[Step] = []
    with pytest.raises(EngineError) as caught:
        async with choice.acquire(lambda *step: steps.append(step), 0):
            pytest.fail("it came up")
    message = str(caught.value)
    assert message.startswith(
        "vllm died 5 times in a row: vllm ended with exit code 1;"
        " last output: RuntimeError: no GPU was found (log: "
    )
    assert len(started) == 5
    assert [step for *_, step in steps if step] == [f"restart {n} of 4" for n in (1, 2, 3, 4)]
    # Each start used another port.
    ports = [
        line.partition("--port ")[2].split()[0]
        for line in log_of(choice).read_text().splitlines()
        if "$ " in line
    ]
    assert len(ports) == 5


async def test_a_death_while_serving_counts_too(
    choose: Choose, started: list[EngineRecord]
) -> None:
    choice = choose(command="vllm serve m --live 0.2")
    with pytest.raises(
        EngineError,
        match=r"died 5 times in a row: .* exit code 7; last output: .*CUDA error: out of",
    ):
        while True:
            async with choice.acquire(quiet, 0) as engine:
                await engine.exited.wait()
    assert len(started) == 5


async def test_a_program_that_never_responds_fails(
    tmp_path: Path, programs: InstalledPrograms
) -> None:
    impatient = InstalledPrograms(tmp_path / "data", healthy_seconds=0.5)
    choice = EngineChooser(StandInEngines(tmp_path), impatient)(
        workload(command="vllm serve m --loading 60 --say wait")
    )
    with pytest.raises(
        EngineError,
        match=r"vllm did not become healthy within 0.5 s \(http:.*/health: Client.*: wait",
    ):
        async with choice.acquire(quiet, 0):
            pytest.fail("it came up")
    await impatient.aclose()
    with pytest.raises(EngineError, match="vllm is shut down"):
        async with choice.acquire(quiet, 0):
            pytest.fail("it came up")


async def test_the_environment_is_the_users_without_credentials(
    choose: Choose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = (
        "INFERENCEKEY_SDK_TOKEN",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "OLLAMA_API_KEY",
        "SSH_AUTH_SOCK",
    )
    for name in secrets:
        monkeypatch.setenv(name, "sekret")
    monkeypatch.setenv("HF_HOME", "/models/hf")
    async with choose(
        command=f"CUDA_VISIBLE_DEVICES=1 vllm serve m --record {tmp_path}/record"
    ).acquire(quiet, 0):
        seen = json.loads((tmp_path / "record").read_text())["environ"]
    assert "sekret" not in seen.values()
    assert (seen["HOME"], seen["HF_HOME"], seen["HF_TOKEN_PATH"]) == (
        os.environ["HOME"],
        "/models/hf",
        os.devnull,
    )
    assert seen["CUDA_VISIBLE_DEVICES"] == "1"

    monkeypatch.setenv("INFERENCEKEY_ENGINE_ENV", "HF_TOKEN, INFERENCEKEY_SDK_TOKEN")
    async with choose(command=f"vllm serve m --record {tmp_path}/record --max-num-seqs 9").acquire(
        quiet, 0
    ):
        seen = json.loads((tmp_path / "record").read_text())["environ"]
    assert seen["HF_TOKEN"] == "sekret"
    assert "INFERENCEKEY_SDK_TOKEN" not in seen
    assert "HF_TOKEN_PATH" not in seen


def group_of(leader: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            found += [process] if os.getpgid(process.pid) == leader else []
    return found


def names(group: list[psutil.Process]) -> list[str]:
    found: list[str] = []
    for process in group:
        # A shell may have become another program meanwhile.
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.name())
    return found


def test_a_program_does_not_outlive_a_platform_that_is_killed(tmp_path: Path) -> None:
    # It watches nothing, ignores SIGTERM, and has a child.
    program = "trap '' TERM; sleep 600 & wait; sleep 600"
    command = [sys.executable, str(LONELY), str(tmp_path), "/bin/sh", "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as platform:
        try:
            assert platform.stdout is not None
            pid = int(platform.stdout.readline())
            group = group_of(pid)
            while "sleep" not in names(group):
                group = group_of(pid)
            assert psutil.Process(pid).cmdline()[-1] == program
        finally:
            platform.kill()
    _, alive = psutil.wait_procs(group, timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
