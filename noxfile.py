"""Every check has a session here; ``.ci/run`` only calls them.

nox                 what CI runs: generated, lint, types, wheel, docs, tests
nox -s tests        one session
nox -s tests-all    the tests on every supported Python that is installed; not part of CI
nox -s lowest       the tests with the lowest allowed version of every dependency; not part of CI
nox -s newest       the tests with the newest allowed version of every dependency; not part of CI
nox -s soak         ten minutes of random faults; not part of CI
nox -s bench        the benchmarks, ten minutes or more; not part of CI
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import nox

HERE = Path(__file__).parent
PYPROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = [
    line.rpartition(" ")[2]
    for line in PYPROJECT["project"]["classifiers"]
    if line.startswith("Programming Language :: Python :: 3.")
]

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["generated", "lint", "types", "wheel", "docs", "tests"]
nox.options.error_on_external_run = True
nox.options.stop_on_first_error = True

COVERED = "inferencekey/_core/*"
TEST_GROUPS = ("test", "lint", "examples")


def requirements(*groups: str) -> tuple[str, ...]:
    """Return what the named dependency groups of pyproject.toml install."""
    return nox.project.dependency_groups(PYPROJECT, *groups)


def install(session: nox.Session, *groups: str, extras: str = "cli,local") -> None:
    """Install the package as users do, not editable, and the named groups."""
    session.install(f".[{extras}]", *requirements(*groups))


@nox.session
def generated(session: nox.Session) -> None:
    """The committed ``_sync`` is what the generator makes of ``_async``, byte for byte."""
    session.install(*requirements("lint"))
    session.run("python", "inferencekey/_codegen/generate.py", "--check")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and the direction of imports."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": str(HERE)})


@nox.session
def types(session: nox.Session) -> None:
    """mypy strict and pyright strict on the package, on ``tests/typing`` and on ``benchmarks``."""
    install(session, "types", "lint", "bench")
    session.run("mypy")
    session.run("pyright")


@nox.session
def wheel(session: nox.Session) -> None:
    """The built wheel with the core dependencies only: imports, weight, hints at missing extras."""
    session.install("build")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--wheel", "--outdir", folder, silent=True)
        (built,) = Path(folder).glob("*.whl")
        session.install("--force-reinstall", str(built))
        # While the wheel is there: the hint about what is missing names it.
        session.run("python", "-I", str(HERE / "tests" / "wheel_check.py"))


@nox.session
def docs(session: nox.Session) -> None:
    """The pages build without a warning, and their code runs."""
    install(session, "docs", "test")
    session.run("python", "-m", "pytest", "docs", "README.md")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build")


@nox.session
def soak(session: nox.Session) -> None:
    """Ten minutes of random faults at 200 concurrent streams; ``-- --seconds 60`` for less."""
    session.install(".")
    session.run(
        "python",
        "-W",
        "error",
        "-m",
        "soak.soak",
        *session.posargs,
        env={"PYTHONPATH": str(HERE / "tests")},
    )


@nox.session
def bench(session: nox.Session) -> None:
    """The clients' cost beside floors and peers. ``-- --list`` lists the rows.

    Further options: ``-- --only stream``, ``-- --no-peers``, ``-- --rounds 5``.
    """
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Everything under ``tests/``. The coverage of ``_core`` is complete."""
    install(session, *TEST_GROUPS)
    run_covered(session)


@nox.session(name="tests-all", python=PYTHONS)
def tests_all(session: nox.Session) -> None:
    """The same on every supported Python that is installed."""
    install(session, *TEST_GROUPS)
    run_covered(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests with the lowest allowed version of every dependency, extras included.

    It runs on the oldest Python: newer ones have no wheels of some of these versions.
    """
    pins = Path(session.create_tmp()) / "lowest.txt"
    lock = ("--resolution=lowest-direct", "--all-extras", f"--output-file={pins}", "--quiet")
    session.install("uv")
    session.run("uv", "pip", "compile", "pyproject.toml", *lock)
    # As constraints, so that the test tools, which are not pinned, cannot raise a dependency.
    install_with_uv(session, f"--constraint={pins}")
    # The bounds of the operation counts hold for the newest aiohttp, which the floors use as well.
    run_all(session, "--ignore=tests/performance")


@nox.session(python=PYTHONS[0])
def newest(session: nox.Session) -> None:
    """The tests with the newest allowed version of every dependency, extras included."""
    session.install("uv")
    install_with_uv(session, "--upgrade", "--prerelease=disallow")
    # What is newer and not allowed: a reason to look at an upper bound.
    session.run("uv", "pip", "list", "--outdated")
    run_all(session)


def install_with_uv(session: nox.Session, *options: str) -> None:
    """Install the package with every extra, and what its tests need."""
    package = f".[{','.join(PYPROJECT['project']['optional-dependencies'])}]"
    session.run("uv", "pip", "install", *options, package, *requirements(*TEST_GROUPS))


def run_covered(session: nox.Session) -> None:
    """Run every test, and fail where ``_core`` is not covered completely."""
    data = Path(session.create_tmp()) / "coverage"
    session.run("coverage", "erase", f"--data-file={data}")
    session.run(
        "coverage", "run", f"--data-file={data}", "-m", "pytest", "tests/core", *session.posargs
    )
    session.run(
        "coverage",
        "report",
        f"--data-file={data}",
        f"--include=*/{COVERED}",
        "--fail-under=100",
        "--skip-covered",
    )
    # By itself: on a busy machine a response takes more reads, and so more calls.
    session.run("python", "-m", "pytest", "tests/performance", *session.posargs)
    run_all(session, "--ignore=tests/core", "--ignore=tests/performance")


def run_all(session: nox.Session, *options: str) -> None:
    """Run every test: first those without the real engine, several at once, then those with it."""
    # Most of these wait for deadlines and retries: more of them at once than there are processors.
    # Tests that share a platform are in one file.
    parallel = ("--numprocesses=4", "--dist=loadfile")
    session.run("python", "-m", "pytest", "-m", "not engine", *parallel, *options, *session.posargs)
    # One at a time, because an engine takes every processor. Last, because the runner reads the
    # last summary line.
    session.run("python", "-m", "pytest", "-m", "engine", *session.posargs)
