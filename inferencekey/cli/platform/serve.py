"""What ``inferencekey up`` does.

It serves until a signal stops it or, with ``--detach``, starts a process in the background that
does.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from inferencekey.cli.platform.detach import start_in_background
from inferencekey.cli.platform.env_exports import Exports
from inferencekey.cli.platform.shells import calling_shell, eval_line
from inferencekey.cli.printing.output import note, print_json, print_lines, warning
from inferencekey.cli.signals import stop_event
from inferencekey.config import is_loopback
from inferencekey.local import LocalPlatform
from inferencekey.local.data_dir import resolve_data_dir
from inferencekey.local.defaults import DEFAULT_PROJECT
from inferencekey.local.token_pair import token_pair

__all__ = ["detach", "serve"]


async def serve(host: str, port: int, data: Path | None, project: str, json: bool) -> None:
    """Run a platform until Ctrl-C, SIGTERM or a closed terminal."""
    async with stop_event() as stop, LocalPlatform(data_dir=data, host=host, port=port) as platform:
        _warn_if_exposed(host)
        pair = token_pair(platform.data_dir, project, set_default=True)
        exports = Exports.of(platform.base_url, pair)
        if json:
            print_json(exports.to_dict(), secret=True)
        else:
            note(f"inferencekey serves at {exports.base_url}, data in {platform.data_dir}.")
            _print_exports(exports, data)
            note("Ctrl-C stops the platform. Workloads and tokens are kept.")
        await stop.wait()
        if not json:
            note("stopping")


def detach(host: str, port: int, data: Path | None, project: str | None, json: bool) -> None:
    """Start a platform in the background, or find the one that already runs; print where it is."""
    data_dir = resolve_data_dir(data)
    found = start_in_background(host, port, data_dir, project or DEFAULT_PROJECT)
    run = found.run
    if found.started:
        _warn_if_exposed(host)
    if project is None and found.started:
        project = DEFAULT_PROJECT
    # A platform that already ran has a default project: that of its own `up`.
    pair = token_pair(data_dir, project, set_default=found.started)
    exports = Exports.of(run.base_url, pair)
    log = data_dir / "logs" / "platform.log"
    if json:
        more = {
            "pid": run.pid,
            "data_dir": str(data_dir),
            "log": str(log),
            "started": found.started,
        }
        print_json({**exports.to_dict(), **more}, secret=True)
        return
    verb = "serves" if found.started else "already serves"
    note(f"inferencekey {verb} at {run.base_url} (pid {run.pid}), data in {data_dir}.")
    note(f"Its log is {log}. To stop it, run: {_command('down', data)}")
    _print_exports(exports, data)


def _print_exports(exports: Exports, data: Path | None) -> None:
    run = eval_line(calling_shell(), _command("env", data))
    note(f"In the shell where you work, paste these lines, or run: {run}")
    print_lines(exports.lines(), secret=True)


def _warn_if_exposed(host: str) -> None:
    if not is_loopback(host):
        warning(
            f"listening on {host}: other machines can reach this platform, which runs programs on "
            "this machine. Only the tokens protect it."
        )


def _command(name: str, data: Path | None) -> str:
    where = "" if data is None else f" --data {shlex.quote(str(resolve_data_dir(data)))}"
    return f"inferencekey {name}{where}"
