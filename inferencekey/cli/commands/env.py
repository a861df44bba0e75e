"""``inferencekey env``: the variables that programs need to use the running local platform."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferencekey.cli.options import DataDir, Json
from inferencekey.cli.platform.shells import Shell
from inferencekey.cli.printing.output import note, print_json, print_lines

__all__ = ["env"]


def env(
    shell: Annotated[
        Shell | None,
        typer.Option(
            "--shell",
            help="The shell to write for; by default the one that runs this command.",
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project", metavar="NAME", help="The project; by default that of `inferencekey up`."
        ),
    ] = None,
    data: DataDir = None,
    json: Json = False,
) -> None:
    """Print the variables of the running local platform, as commands for a shell.

    In sh, bash and zsh, run: eval "$(inferencekey env)". In fish: inferencekey env | source. In
    PowerShell: inferencekey env | Out-String | Invoke-Expression.

    The tokens are those that `inferencekey up` prints. A project without tokens gets new ones,
    which are kept.
    """
    from inferencekey.cli.platform.env_exports import Exports
    from inferencekey.cli.platform.shells import calling_shell, eval_line
    from inferencekey.cli.printing.failures import CommandError
    from inferencekey.local.data_dir import resolve_data_dir
    from inferencekey.local.process import find_platform
    from inferencekey.local.token_pair import token_pair

    data_dir = resolve_data_dir(data)
    run = find_platform(data_dir)
    if run is None:
        raise CommandError(
            f"no local platform runs on {data_dir}; start one with: inferencekey up --detach"
        )
    exports = Exports.of(run.base_url, token_pair(data_dir, project))
    if json:
        print_json(exports.to_dict(), secret=True)
        return
    shell = shell or calling_shell()
    print_lines(exports.lines(shell), secret=True)
    if sys.stdout.isatty():
        note(
            "This has only printed the variables. To set them in your shell, run: "
            + eval_line(shell, "inferencekey env")
        )
