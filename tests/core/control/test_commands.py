"""A workload's command: its words, and the program that it runs."""

from __future__ import annotations

import pytest

from inferencekey._core.control.commands import (
    ENGINE_PROGRAMS,
    command_problem,
    module_at,
    program_backends,
    program_name,
    split_command,
    split_variables,
)
from inferencekey.models import Backend


def test_a_command_is_split_as_a_shell_splits_it() -> None:
    assert split_command("vllm serve 'a model' --x=1") == ["vllm", "serve", "a model", "--x=1"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("vllm serve m", None),
        ("", "must not be empty; leave it out for the backend's usual launch"),
        ("  ", "must not be empty; leave it out for the backend's usual launch"),
        ("vllm 'm", "cannot be split into words as a shell does: No closing quotation"),
        ("vllm \0m", "must not contain NUL characters"),
    ],
)
def test_command_problems(command: str, problem: str | None) -> None:
    assert command_problem(command) == problem


@pytest.mark.parametrize(
    ("words", "skip_env", "variables", "rest"),
    [
        ([], False, {}, []),
        (["A=1", "B=x=y", "vllm", "C=3"], False, {"A": "1", "B": "x=y"}, ["vllm", "C=3"]),
        (["env", "A=1", "vllm"], False, {}, ["env", "A=1", "vllm"]),
        (["/usr/bin/env", "A=1", "vllm"], True, {"A": "1"}, ["vllm"]),
        (["env", "-i", "vllm"], True, {}, ["env", "-i", "vllm"]),
        (["A=1", "env"], True, {"A": "1"}, []),
        (["1A=1", "vllm"], False, {}, ["1A=1", "vllm"]),
    ],
)
def test_variables_in_front_of_a_command(
    words: list[str], skip_env: bool, variables: dict[str, str], rest: list[str]
) -> None:
    assert split_variables(words, skip_env=skip_env) == (variables, rest)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("vllm", "vllm"),
        ("/opt/bin/vllm", "vllm"),
        (r"C:\tools\llama-server.exe", "llama-server"),
        ("./x.sh", "x.sh"),
    ],
)
def test_program_names(word: str, name: str) -> None:
    assert program_name(word) == name


@pytest.mark.parametrize(
    ("words", "start", "module"),
    [
        (["python", "-m", "vllm.x"], 0, "vllm.x"),
        (["/usr/bin/python3.12", "-u", "-m", "vllm"], 0, "vllm"),
        (["uv", "run", "python", "-m", "vllm"], 2, "vllm"),
        (["python", "serve.py", "-m", "vllm"], 0, ""),
        (["python", "-m"], 0, ""),
        (["python"], 0, ""),
        (["pythonic", "-m", "vllm"], 0, ""),
        ([], 0, ""),
    ],
)
def test_the_module_that_python_runs(words: list[str], start: int, module: str) -> None:
    assert module_at(words, start) == module


def test_the_backends_of_programs() -> None:
    assert program_backends("vllm") == (Backend.VLLM, Backend.VLLM_OMNI)
    assert program_backends("llama-server") == (Backend.LLAMACPP,)
    assert program_backends(module="sglang.launch_server") == (Backend.SGLANG,)
    assert program_backends("bash") == ()
    assert program_backends(module="my_own.server") == ()
    assert program_backends() == ()


def test_a_server_module_belongs_to_its_program() -> None:
    for program in ENGINE_PROGRAMS:
        for module in program.server_modules:
            assert program_backends(module=module) == program.backends
