"""What programs get of the platform's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.local.engines.environment import engine_environment, program_environment

NAMES = st.one_of(
    st.sampled_from(
        [
            "PATH",
            "HOME",
            "HF_TOKEN",
            "HF_HOME",
            "VLLM_API_KEY",
            "INFERENCEKEY_API_KEY",
            "HTTPS_PROXY",
        ]
    ),
    st.from_regex(r"[A-Z_]{1,12}", fullmatch=True),
)


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("HOME", "/home/me", True),
        ("HF_HOME", "/models", True),
        ("HF_ENDPOINT", "https://mirror.example", True),
        ("HF_ENDPOINT", "https://me:password@mirror.example", False),
        ("HF_TOKEN", "hf_x", False),
        ("HF_TOKEN_PATH", "/home/me/token", False),
        ("VLLM_ATTENTION_BACKEND", "FLASH_ATTN", True),
        ("VLLM_API_KEY", "x", False),
        ("OLLAMA_MODELS", "/models", True),
        ("OLLAMA_API_KEY", "x", False),
        ("CUDA_VISIBLE_DEVICES", "0", True),
        ("HTTPS_PROXY", "http://proxy:3128", True),
        ("https_proxy", "http://me:password@proxy:3128", False),
        ("LLAMA_ARG_PORT", "1", False),
        ("AWS_PROFILE", "prod", False),
        ("PIP_INDEX_URL", "https://x", False),
    ],
)
def test_which_variables_a_program_gets(name: str, value: str, passes: bool) -> None:
    seen = program_environment(environ={name: value})
    seen.pop("HF_TOKEN_PATH", None) if seen.get("HF_TOKEN_PATH") == os.devnull else None
    assert seen == ({name: value} if passes else {})


def test_allowed_variables_are_passed_except_ours() -> None:
    environ = {
        "INFERENCEKEY_ENGINE_ENV": "AWS_PROFILE,,HF_TOKEN , INFERENCEKEY_API_KEY",
        "AWS_PROFILE": "prod",
    }
    assert program_environment(environ={**environ, "INFERENCEKEY_API_KEY": "k"}) == {
        "AWS_PROFILE": "prod"
    }


def test_the_order_of_command_environment_and_defaults() -> None:
    environ, defaults = (
        {"OLLAMA_KEEP_ALIVE": "1h"},
        {"OLLAMA_KEEP_ALIVE": "-1", "OLLAMA_NOPRUNE": "1"},
    )
    seen = program_environment(
        {"HOME": "/own"}, defaults=defaults, environ={**environ, "HOME": "/home/me"}
    )
    expected = {
        "OLLAMA_KEEP_ALIVE": "1h",
        "OLLAMA_NOPRUNE": "1",
        "HOME": "/own",
        "HF_TOKEN_PATH": os.devnull,
    }
    assert seen == expected


@given(st.dictionaries(NAMES, st.text(max_size=20), max_size=8))
def test_no_credential_of_ours_is_passed(environ: dict[str, str]) -> None:
    for seen in (
        program_environment(environ=environ),
        engine_environment(Path("/e"), environ=environ),
    ):
        assert not [name for name in seen if name.startswith("INFERENCEKEY_")]
        assert not [
            name for name in seen if name.endswith(("_KEY", "_TOKEN", "_SECRET", "_PASSWORD"))
        ]
