"""Commands as words: which program they start, and how they get their address."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencekey._core.control.commands import program_backends
from inferencekey.local.engines.programs.binding import bind
from inferencekey.local.engines.programs.command import (
    Command,
    display,
    option_value,
    read_command,
    usual_commands,
)
from inferencekey.local.engines.programs.introspection import choose_model
from inferencekey.local.engines.programs.table import (
    ANY,
    LLAMA_SERVER,
    OLLAMA,
    PROGRAMS,
    SGLANG,
    USUAL,
    VLLM,
    Program,
)


def read(line: str) -> Command:
    command = read_command(shlex.split(line))
    assert command is not None
    return command


def bound(line: str, port: int = 4000) -> str:
    return display(bind(read(line), port).argv)


@pytest.mark.parametrize(
    ("line", "program", "name", "start"),
    [
        ("llama-server -m x.gguf", LLAMA_SERVER, "llama-server", 0),
        ("/opt/llama.cpp/bin/llama-server -hf a/b", LLAMA_SERVER, "llama-server", 0),
        ("vllm serve acme/model", VLLM, "vllm", 0),
        ("python3.12 -u -m vllm.entrypoints.openai.api_server --model m", VLLM, "vllm", 0),
        ("sglang serve --model-path m", SGLANG, "sglang", 0),
        ("python -m sglang.launch_server --model-path m", SGLANG, "sglang", 0),
        ("ollama serve", OLLAMA, "ollama", 0),
        ("CUDA_VISIBLE_DEVICES=0 vllm serve m", VLLM, "vllm", 0),
        ("env A=1 B=2 vllm serve m", VLLM, "vllm", 0),
        ("nice -n 5 vllm serve m", VLLM, "vllm", 3),
        ("uv run vllm serve m", VLLM, "vllm", 2),
        ("env -i /usr/bin/llama-server -m x", LLAMA_SERVER, "llama-server", 2),
        ("vllm bench latency", ANY, "vllm", 0),
        ("ollama run llama3", ANY, "ollama", 0),
        ("my-engine --model m", ANY, "my-engine", 0),
        ("./run.sh", ANY, "run.sh", 0),
        ("python serve.py -m vllm.entrypoints.openai.api_server", ANY, "python", 0),
        ("docker run -p {port}:11434 ollama/ollama serve", ANY, "docker", 0),
    ],
)
def test_a_program_is_recognised(line: str, program: Program, name: str, start: int) -> None:
    command = read(line)
    assert (command.program, command.name, command.start) == (program, name, start)


def test_a_command_of_variables_only_is_not_a_command() -> None:
    assert read_command(["A=1"]) is None
    assert read_command(["env"]) is None


@pytest.mark.parametrize(
    ("line", "argv", "replaced"),
    [
        ("vllm serve m", "vllm serve m --port 4000 --host 127.0.0.1", ()),
        ("vllm serve m --port 8000", "vllm serve m --port 4000 --host 127.0.0.1", ("--port 8000",)),
        ("vllm serve --port=8000 m", "vllm serve --port 4000 m --host 127.0.0.1", ("--port=8000",)),
        (
            "vllm serve --port 1 m --port 2",
            "vllm serve --port 4000 m --host 127.0.0.1",
            ("--port 1", "--port 2"),
        ),
        (
            "vllm serve m --host 0.0.0.0",
            "vllm serve m --host 127.0.0.1 --port 4000",
            ("--host 0.0.0.0",),
        ),
        ("vllm serve m --host 127.0.0.1", "vllm serve m --host 127.0.0.1 --port 4000", ()),
        ("vllm serve m --port {port}", "vllm serve m --port 4000 --host 127.0.0.1", ()),
        ("vllm serve m --port $PORT", "vllm serve m --port 4000 --host 127.0.0.1", ()),
        ("vllm serve m --port", "vllm serve m --port 4000 --host 127.0.0.1", ("--port",)),
        (
            "vllm serve m --uds /run/v.sock",
            "vllm serve m --port 4000 --host 127.0.0.1",
            ("--uds /run/v.sock",),
        ),
        (
            "llama-server --ssl-key-file k --ssl_cert_file=c --api-prefix /x -m m.gguf",
            "llama-server -m m.gguf --port 4000 --host 127.0.0.1",
            ("--api-prefix /x", "--ssl-key-file k", "--ssl_cert_file=c"),
        ),
        (
            "nice -n 5 vllm serve m --port 1",
            "nice -n 5 vllm serve m --port 4000 --host 127.0.0.1",
            ("--port 1",),
        ),
        (
            "my-engine -p {port} --bind ${HOST}:${PORT}",
            "my-engine -p 4000 --bind 127.0.0.1:4000",
            (),
        ),
        ("my-engine --port 9 x", "my-engine --port 4000 x", ("--port 9",)),
        ("my-engine x", "my-engine x", ()),
        ("my-engine '{\"port\": 1}' $PORTS", "my-engine '{\"port\": 1}' '$PORTS'", ()),
        ("ollama serve", "ollama serve", ()),
    ],
)
def test_the_platform_chooses_the_address(line: str, argv: str, replaced: tuple[str, ...]) -> None:
    assert bound(line) == argv
    assert bind(read(line), 4000).replaced == replaced


def test_programs_without_options_get_variables() -> None:
    assert bind(read("ollama serve"), 4000).variables == {"OLLAMA_HOST": "127.0.0.1:4000"}
    assert bind(read("my-engine"), 4000).variables == {"HOST": "127.0.0.1", "PORT": "4000"}
    own = bind(read("OLLAMA_HOST=0.0.0.0 OLLAMA_DEBUG=1 ollama serve"), 4000)
    assert own.variables == {"OLLAMA_HOST": "127.0.0.1:4000", "OLLAMA_DEBUG": "1"}
    assert own.replaced == ("OLLAMA_HOST=0.0.0.0",)
    assert (
        bind(read("URL=http://$HOST:$PORT my-engine"), 9).variables["URL"] == "http://127.0.0.1:9"
    )


WORD = st.one_of(
    st.sampled_from(
        [
            "--port",
            "--host",
            "--port=1",
            "--host=h",
            "-p",
            "--",
            "-m",
            "serve",
            "vllm",
            "llama-server",
        ]
    ),
    st.sampled_from(
        ["--port_x", "--uds", "--api-key", "--max-num-seqs=3", "A=1", "env", "8000", "", "--portx"]
    ),
    st.text(max_size=8),
)
FRONT = st.sampled_from(
    [
        ["vllm", "serve"],
        ["llama-server"],
        ["sglang", "serve"],
        ["python3", "-m", "sglang.launch_server"],
    ]
)


@given(front=FRONT, rest=st.lists(WORD, max_size=8), port=st.integers(1, 65535))
@example(front=["vllm", "serve"], rest=["--port", "--port"], port=1)
@example(front=["llama-server"], rest=["--host", "--port", "--host"], port=1)
def test_a_known_program_gets_one_port_and_one_host(
    front: list[str], rest: list[str], port: int
) -> None:
    command = read_command([*front, *rest])
    assert command is not None
    once = bind(command, port)
    assert option_value(once.argv, ("--port",)) == str(port)
    assert option_value(once.argv, ("--host",)) == "127.0.0.1"
    for name in ("--port", "--host"):
        assert sum(word.partition("=")[0] == name for word in once.argv) == 1
    assert list(once.argv[: len(front)]) == front

    again = read_command(once.argv)
    assert again is not None
    assert bind(again, port).argv == once.argv
    assert bind(again, port).replaced == ()


@given(front=FRONT, rest=st.lists(st.text("abcxyz-", min_size=1, max_size=6), max_size=8))
def test_all_other_words_keep_their_order(front: list[str], rest: list[str]) -> None:
    command = read_command([*front, *rest])
    assert command is not None
    assert bind(command, 7).argv == (*front, *rest, "--port", "7", "--host", "127.0.0.1")


@given(st.lists(WORD, max_size=10), st.integers(1, 65535))
def test_any_words_can_be_read_and_bound(words: list[str], port: int) -> None:
    command = read_command(words)
    if command is None:
        assert all("=" in word or word.endswith("env") for word in words)
        return
    result = bind(command, port)
    assert len(result.argv) <= len(command.words) + 4
    if command.program is ANY:
        assert len(result.argv) <= len(command.words) + 2  # the values that were missing
        assert result.variables["PORT"] == str(port)


@pytest.mark.parametrize(
    ("backend", "model", "task", "lines"),
    [
        ("vllm", "a/b", "text2text", ["vllm serve a/b"]),
        ("vllm-omni", "a/b", "omni", ["vllm serve a/b --omni"]),
        ("llamacpp", "a/b:Q4", "text2text", ["llama-server -hf a/b:Q4 --alias a/b:Q4"]),
        (
            "llamacpp",
            "/m/x.gguf",
            "embedding",
            ["llama-server -m /m/x.gguf --alias /m/x.gguf --embedding"],
        ),
        (
            "sglang",
            "a/b",
            "embedding",
            [
                "sglang serve --model-path a/b --is-embedding",
                "python3 -m sglang.launch_server --model-path a/b --is-embedding",
            ],
        ),
        ("ollama", "llama3", "text2text", ["ollama serve"]),
        ("my-backend", "m", "text2text", []),
    ],
)
def test_the_usual_command_of_a_backend(
    backend: str, model: str, task: str, lines: list[str]
) -> None:
    commands = usual_commands(backend, model, task)
    assert [display(command.words) for command in commands] == lines
    assert all(command.program in PROGRAMS for command in commands)


def test_a_model_name_with_spaces_is_one_word() -> None:
    [command] = usual_commands("vllm", "x --port 1; rm -rf /", "text2text")
    assert command.words == ("vllm", "serve", "x --port 1; rm -rf /")


def test_the_value_of_an_option() -> None:
    words = ["x", "--max_num_seqs", "3", "--api-key=a=b", "--last"]
    assert option_value(words, ("--max-num-seqs",)) == "3"
    assert option_value(words, ("--api-key",)) == "a=b"
    assert option_value(words, ("--last",)) is None
    assert option_value(words, ("--absent",)) is None


def test_a_displayed_command_has_no_key() -> None:
    assert (
        display(["vllm", "serve", "--api-key", "sekret"], ["sekret", ""])
        == "vllm serve --api-key …"
    )
    assert display(["vllm", "--say", "it's a key"], ["it's a key"]) == "vllm --say …"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ({"data": [{"id": "a"}, {"id": "wanted"}]}, "wanted"),
        ({"data": [{"id": "a"}, {"id": "wanted:latest"}]}, "wanted:latest"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, "a"),
        ({"data": [None, {"id": 3}, {"id": ""}]}, "wanted"),
        ({"data": {}}, "wanted"),
        ([], "wanted"),
        (None, "wanted"),
    ],
)
def test_which_model_a_program_serves(answer: object, name: str) -> None:
    assert choose_model(answer, "wanted") == name


@pytest.mark.parametrize("backend", USUAL)
def test_the_usual_program_of_a_backend_serves_that_backend(backend: str) -> None:
    for command in usual_commands(backend, "acme/model", "text2text"):
        assert backend in program_backends(command.program.name)
