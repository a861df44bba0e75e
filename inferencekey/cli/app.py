"""The table of commands, and how every command reports its errors.

The file of a command has its options. It imports everything else when the command runs: so
``--help`` is quick, and the commands for manifests need the ``cli`` extra only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from inferencekey.cli.commands import token
from inferencekey.cli.commands.apply import apply
from inferencekey.cli.commands.delete import delete
from inferencekey.cli.commands.demo import demo
from inferencekey.cli.commands.destroy import destroy
from inferencekey.cli.commands.down import down
from inferencekey.cli.commands.env import env
from inferencekey.cli.commands.export import export
from inferencekey.cli.commands.get import get
from inferencekey.cli.commands.init import init
from inferencekey.cli.commands.list import list_workloads
from inferencekey.cli.commands.logs import logs
from inferencekey.cli.commands.plan import plan
from inferencekey.cli.commands.schema import schema
from inferencekey.cli.commands.status import status
from inferencekey.cli.commands.up import up
from inferencekey.cli.commands.wait import wait
from inferencekey.cli.options import only_text
from inferencekey.cli.printing.failures import CommandError, fail
from inferencekey.cli.printing.output import warning
from inferencekey.cli.printing.streams import flush_results
from inferencekey.errors import InferenceKeyError

__all__ = ["app", "run"]

CODES = (
    "Exit codes: 0 done; 1 any error, also wrong usage; 2 changes, from "
    "`plan --detailed-exitcode` only; 130 Ctrl-C."
)
CONNECTION = (
    "The platform and the credentials are read from INFERENCEKEY_BASE_URL, "
    "INFERENCEKEY_PROJECT and INFERENCEKEY_SDK_TOKEN, as the clients read them."
)

app = typer.Typer(
    name="inferencekey",
    help="Create and call your own AI workloads. `up` runs the whole platform on this machine.",
    epilog=f"{CONNECTION}\n\n{CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., object]] = {
    "init": init,
    "plan": plan,
    "apply": apply,
    "destroy": destroy,
    "export": export,
    "schema": schema,
    "list": list_workloads,
    "get": get,
    "delete": delete,
    "wait": wait,
    "logs": logs,
    "demo": demo,
    "up": up,
    "down": down,
    "env": env,
    "status": status,
}
for name, command in COMMANDS.items():
    app.command(name)(only_text(command))
app.add_typer(token.app, name="token")


def _version(asked: bool) -> None:
    if asked:
        from inferencekey import __version__
        from inferencekey.installing import other_program

        typer.echo(f"inferencekey {__version__}")
        mixture = other_program()
        if mixture is not None:
            warning(mixture)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Create and call your own AI workloads. `up` runs the whole platform on this machine."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    json = "--json" in arguments
    code = _run(arguments, json=json)
    unwritten = flush_results()
    return code if unwritten is None else fail(unwritten, json=json)


def _run(arguments: Sequence[str], *, json: bool) -> int:
    # Python's own format names a file and a line of this package, which does not help the user
    # of a command.
    warnings.showwarning = _show_warning
    try:
        result = app(args=list(arguments), prog_name="inferencekey", standalone_mode=False)
    except InferenceKeyError as error:
        return fail(error, json=json)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        return fail(error, json=json)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("inferencekey"):
            raise
        return fail(CommandError(_missing(error.name)), json=json)
    except Exception as error:
        return _wrong_usage(error, json=json)
    return result if isinstance(result, int) else 0


def _missing(module: str) -> str:
    """Return what to do where a module of another package cannot be imported."""
    if module == "fcntl":  # a standard module that Windows does not have
        return "this command runs on Linux and macOS only"
    from inferencekey.installing import missing_message

    return missing_message(f"this command needs {module}", "cli,local")


def _wrong_usage(error: Exception, *, json: bool) -> int:
    # Newer versions of typer contain a copy of click: the class of the error is click's own, or
    # the copy's. So it is recognised by its methods.
    message, show = getattr(error, "format_message", None), getattr(error, "show", None)
    if message is None or show is None:
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        show()
        return 1
    context = getattr(error, "ctx", None)
    if getattr(error, "possibilities", None):
        from inferencekey.models.nearest import nearest

        # The two dashes alone make any two options similar, so names are compared without them.
        given = str(getattr(error, "option_name", "")).strip("-")
        known = (str(name).strip("-") for name in getattr(error, "possibilities", ()))
        near = nearest(given, known, likeness=0.7)
        likely = [] if near is None else [f"--{near}"]
        setattr(error, "possibilities", likely)  # noqa: B010 (the class is not known)
    path = "inferencekey" if context is None else context.command_path
    return fail(CommandError(f"{message().rstrip('.')}; see `{path} --help`"), json=json)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    warning(str(message))
