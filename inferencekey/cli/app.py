"""The commands, and what every one of them does about errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from inferencekey.cli import demo, status, token, up
from inferencekey.cli.output import fail
from inferencekey.errors import InferenceKeyError

__all__ = ["app", "run"]

app = typer.Typer(
    name="inferencekey",
    help="Provision and call your own AI workloads. `up` runs the whole platform on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("status")(status.status)
app.add_typer(token.app, name="token")


def _version(asked: bool) -> None:
    if asked:
        from inferencekey import __version__

        typer.echo(f"inferencekey {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Provision and call your own AI workloads. `up` runs the whole platform on this machine."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        result = app(args=list(arguments), prog_name="inferencekey", standalone_mode=False)
    except InferenceKeyError as error:
        return fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; so do we, without a word to a pipe that is gone.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("inferencekey"):
            raise
        return fail(f"this command needs {error.name}, which is not installed: pip install 'inferencekey[cli,local]'")
    except Exception as error:
        # Wrong usage. The class is click's own or, in newer versions of typer, one of a click inside typer.
        show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
        if show is None or not isinstance(code, int):
            raise
        show()
        return code
    return result if isinstance(result, int) else 0
