"""What ``inferencekey up`` does: serve until a signal stops it, or start a process that does."""

from __future__ import annotations

import shlex
from pathlib import Path

from inferencekey.cli.detach import start_in_background
from inferencekey.cli.env_exports import Exports
from inferencekey.cli.options import resolve_data_dir
from inferencekey.cli.output import note, print_json, print_text, warning
from inferencekey.cli.shells import calling_shell, eval_line
from inferencekey.cli.signals import stop_event
from inferencekey.config import is_loopback
from inferencekey.local import LocalPlatform
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
            note(f"Paste these lines where you work, or run there: {_eval_line(data)}")
            print_text(exports.lines(), secret=True)
            note("Ctrl-C stops it; workloads and tokens are kept.")
        await stop.wait()
        if not json:
            note("stopping")


def detach(host: str, port: int, data: Path | None, project: str | None, json: bool) -> None:
    """Start a platform in the background, or find the one that runs, and print where it is."""
    data_dir = resolve_data_dir(data)
    found = start_in_background(host, port, data_dir, project or DEFAULT_PROJECT)
    run = found.run
    if found.started:
        _warn_if_exposed(host)
    # Without --project, a platform that ran before has its own default: the project of its `up`.
    pair = token_pair(
        data_dir, project or (DEFAULT_PROJECT if found.started else None), set_default=found.started
    )
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
    note(f"Its log: {log}")
    note(f"Stop it: {_command('down', data)}")
    note(f"Paste these lines where you work, or run there: {_eval_line(data)}")
    print_text(exports.lines(), secret=True)


def _warn_if_exposed(host: str) -> None:
    if not is_loopback(host):
        warning(
            f"listening on {host}: other machines can reach this platform, which runs programs on this one. "
            "Only its tokens keep them out."
        )


def _eval_line(data: Path | None) -> str:
    return eval_line(calling_shell(), _command("env", data))


def _command(name: str, data: Path | None) -> str:
    where = "" if data is None else f" --data {shlex.quote(str(resolve_data_dir(data)))}"
    return f"inferencekey {name}{where}"
