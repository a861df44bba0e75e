"""The command in hints about missing parts, for each way to install this package."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from inferencekey import __version__
from inferencekey.installing import install_command, other_program


def _installed(
    folder: Path, record: object = None, *, version: str = __version__, installer: str = "pip"
) -> Distribution:
    """Write the metadata that an installer leaves, and read it as Python does."""
    info = folder / f"inferencekey-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: inferencekey\nVersion: {version}\n"
    )
    (info / "INSTALLER").write_text(f"{installer}\n")
    if record is not None:
        text = record if isinstance(record, str) else json.dumps(record)
        (info / "direct_url.json").write_text(text)
    return PathDistribution(info)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"dir_info": {}}, "pip install 'SOURCE[cli,local]'"),
        ({"dir_info": {"editable": True}}, "pip install -e 'SOURCE[cli,local]'"),
        ({"archive_info": {"hash": "sha256=00"}}, "pip install 'SOURCE[cli,local]'"),
    ],
    ids=["checkout", "editable", "wheel"],
)
def test_names_the_path_that_it_was_installed_from(
    tmp_path: Path, record: dict[str, object], expected: str
) -> None:
    source = tmp_path / "a checkout, or inferencekey-1.0.0.whl"
    source.touch()
    found = _installed(tmp_path / "site", {"url": source.as_uri(), **record})
    assert install_command("cli,local", found) == expected.replace("SOURCE", str(source))


def test_the_path_is_one_word_of_a_shell(tmp_path: Path) -> None:
    source = tmp_path / "it's here"
    source.mkdir()
    found = _installed(tmp_path / "site", {"url": source.as_uri(), "dir_info": {}})
    words = shlex.split(install_command("local", found))
    assert words == ["pip", "install", f"{source}[local]"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            {
                "url": "https://git.example/inferencekey",
                "vcs_info": {"vcs": "git", "commit_id": "0a1b2c"},
            },
            "inferencekey[local] @ git+https://git.example/inferencekey@0a1b2c",
        ),
        (
            {"url": "https://example.com/inferencekey-1.0.0.whl", "archive_info": {}},
            "inferencekey[local] @ https://example.com/inferencekey-1.0.0.whl",
        ),
    ],
    ids=["git", "https"],
)
def test_names_the_address_that_it_was_installed_from(
    tmp_path: Path, record: dict[str, object], expected: str
) -> None:
    found = _installed(tmp_path, record)
    assert shlex.split(install_command("local", found)) == ["pip", "install", expected]


@pytest.mark.parametrize(
    "record",
    [None, "not JSON", ["url"], {"url": "file:///no/such/checkout", "dir_info": {}}],
    ids=["index", "damaged", "wrong shape", "source removed"],
)
def test_says_what_to_do_where_the_source_is_not_known(tmp_path: Path, record: object) -> None:
    command = install_command("local", _installed(tmp_path, record))
    assert command.startswith("pip install 'CHECKOUT_OR_WHEEL[local]', where CHECKOUT_OR_WHEEL is")
    assert "PyPI is another program" in command
    assert "'inferencekey[local]'" not in command


def test_names_uv_where_uv_installed_it(tmp_path: Path) -> None:
    record = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    found = _installed(tmp_path / "site", record, installer="uv")
    assert install_command("cli", found).startswith("uv pip install -e ")


def test_says_that_the_installed_package_is_another_program(tmp_path: Path) -> None:
    theirs = _installed(tmp_path, version="0.260725.739")
    text = other_program(theirs)
    assert text is not None
    assert "0.260725.739" in text
    assert text.endswith("pip uninstall inferencekey")
    assert install_command("local", theirs).endswith(text)


def test_an_older_editable_checkout_is_not_another_program(tmp_path: Path) -> None:
    record = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    assert other_program(_installed(tmp_path / "site", record, version="0.1.0")) is None
    assert other_program(_installed(tmp_path / "own")) is None


def test_names_the_source_of_this_environment() -> None:
    source = shlex.split(install_command("cli"))[-1].removesuffix("[cli]")
    assert Path(source).is_absolute()
    assert Path(source).exists()
    assert other_program() is None


def test_without_metadata_at_all() -> None:
    # -S: no site-packages, so there is nothing but the source.
    code = "from inferencekey.installing import install_command; print(install_command('cli'))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("pip install 'CHECKOUT_OR_WHEEL[cli]'")


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("psutil", "the local platform needs psutil, which is not installed; run: "),
        ("fcntl", "the local platform runs on Linux and macOS only"),
    ],
)
def test_the_local_platform_without_a_module(module: str, expected: str) -> None:
    # Python refuses to import a module whose entry is None.
    code = (
        f"import sys; sys.modules[{module!r}] = None\nfrom inferencekey.local import LocalPlatform"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ModuleNotFoundError: {expected}")
