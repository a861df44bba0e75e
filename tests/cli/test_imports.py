"""``--help`` is quick, and the commands for manifests need the ``cli`` extra only."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from platforms.up import environment

from cli.shell import run_here

HEAVY = (
    "inferencekey.local",
    "aiohttp",
    "asyncio",
    "anyio",
    "attrs",
    "cattrs",
    "orjson",
    "rich",
    "yaml",
    "psutil",
)

PROGRAM = """
import json, sys
from inferencekey.cli import main
sys.argv = ["inferencekey", *sys.argv[1:]]
try:
    main()
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""


def _modules(*words: str, blocked: tuple[str, ...] = ()) -> set[str]:
    block = "".join(f"import sys; sys.modules[{name!r}] = None\n" for name in blocked)
    done = subprocess.run(
        [sys.executable, "-c", block + PROGRAM, *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [("--help",), ("plan", "--help"), ("up", "--help"), ("token", "sdk", "--help")]
)
def test_help_loads_no_heavy_module(words: tuple[str, ...]) -> None:
    loaded = _modules(*words)
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("words", [("plan",), ("list",), ("schema",)])
def test_the_local_platform_is_not_needed(words: tuple[str, ...]) -> None:
    blocked = ("inferencekey.local", "platformdirs", "psutil", "numpy", "gguf", "xllamacpp")
    assert "inferencekey.cli.printing.output" in _modules(*words, blocked=blocked)


def test_copies_of_defaults_are_equal() -> None:
    import inspect

    from inferencekey.cli.commands import token
    from inferencekey.cli.commands.up import up
    from inferencekey.local.defaults import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_PROJECT
    from inferencekey.local.store.tokens import ALL_SCOPES

    assert set(token.SCOPES.split(", ")) == set(ALL_SCOPES)
    given = {
        name: parameter.default for name, parameter in inspect.signature(up).parameters.items()
    }
    assert (given["host"], given["port"]) == (DEFAULT_HOST, DEFAULT_PORT)
    # No default in the signature: `up --detach` finds a platform whose project may be another.
    assert given["project"] is None
    assert f"by default {DEFAULT_PROJECT}." in run_here("up", "--help").out
