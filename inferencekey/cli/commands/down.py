"""``inferencekey down``: stop the local platform."""

from __future__ import annotations

from inferencekey.cli.options import DataDir, Json
from inferencekey.cli.printing.output import note, print_json

__all__ = ["down"]


def down(data: DataDir = None, json: Json = False) -> None:
    """Stop the local platform, and wait until it and its engines have ended.

    The platform may run in the background or in another terminal. Workloads and tokens are kept.
    The exit code is 0 also if no platform runs. The JSON field `stopped` says which.
    """
    from inferencekey.local.data_dir import resolve_data_dir
    from inferencekey.local.process import stop_platform

    data_dir = resolve_data_dir(data)
    run = stop_platform(data_dir)
    if json:
        found = {
            "stopped": run is not None,
            "pid": None if run is None else run.pid,
            "base_url": None if run is None else run.base_url,
            "data_dir": str(data_dir),
        }
        print_json(found)
    elif run is None:
        note(f"no local platform runs on {data_dir}")
    else:
        note(f"stopped the platform at {run.base_url} (pid {run.pid}), data in {data_dir}")
