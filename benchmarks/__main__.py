"""``python -m benchmarks``: measure, print, and write files."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import CASES, Case, select_cases
from benchmarks.clients.catalogue import add_before
from benchmarks.environments import PEERS, peer_python
from benchmarks.machine import machine
from benchmarks.probes import PROBES, select_probes
from benchmarks.probes.figures import Context, Figure
from benchmarks.processes import ProcessFailed, ServerProcess
from benchmarks.progress import progress
from benchmarks.report import Results, as_json, goal_lines, markdown, text_table
from benchmarks.rounds import measure


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help="only cases whose name contains PART",
    )
    parser.add_argument(
        "--client",
        action="append",
        default=[],
        metavar="PART",
        help="only clients whose name contains PART",
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="floors and ours only: nothing is installed"
    )
    parser.add_argument(
        "--before",
        metavar="DIR",
        help="a second checkout of this project, measured beside this one",
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each client (15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every reading to FILE")
    parser.add_argument(
        "--markdown", action="store_true", help="print the tables of docs/performance.md"
    )
    parser.add_argument("--list", action="store_true", help="list the cases and exit")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    if arguments.before is not None:
        add_before(str(Path(arguments.before).resolve()))
    cases = select_cases(arguments.only, arguments.client, peers=not arguments.no_peers)
    probes = select_probes(arguments.only)
    if arguments.list or not (cases or probes):
        print("\n".join(f"{one.name:<20}{one.title}" for one in (*CASES, *PROBES)))
        return 0 if arguments.list else 2
    machine_info = machine()
    print(
        "\n".join(f"{name}: {value}" for name, value in machine_info.items()),
        end="\n\n",
        flush=True,
    )
    python = _environments(peers=not arguments.no_peers, cases=cases, probes=bool(probes))
    results: Results = {}
    figures: dict[str, list[Figure]] = {}
    with ServerProcess() as server:
        for case in cases:
            results[case.name] = measure(
                case, rounds=arguments.rounds, url=server.url, python=python, on_progress=progress
            )
            progress("")
            print(text_table(case, results[case.name]), end="\n\n", flush=True)
        context = Context(server.url, python, arguments.rounds, progress)
        for probe in probes:
            print(f"{probe.title}  [{probe.name}]", flush=True)
            try:
                figures[probe.name] = probe.measure(context)
            except ProcessFailed as error:
                print(f"  failed: {error}")
                continue
            finally:
                progress("")
            print("\n".join(map(str, figures[probe.name])), end="\n\n", flush=True)
    by_name = {case.name: case for case in cases}
    print("\n".join(goal_lines(results, by_name)))
    if arguments.markdown:
        print("\n" + markdown(results, by_name, figures, machine_info))
    if arguments.json is not None:
        everything = as_json(results, figures, machine_info)
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 0


def _environments(*, peers: bool, cases: list[Case], probes: bool) -> dict[str, str]:
    """Return the interpreter of each environment; omit a peer that cannot be installed."""
    python = {"own": sys.executable}
    needed = {spec.environment for case in cases for spec in case.specs()}
    for name in PEERS if peers else ():
        if not probes and name not in needed:
            continue
        try:
            python[name] = peer_python(name, progress)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"cannot install {name}, so it is omitted: {error}", file=sys.stderr)
    return python


if __name__ == "__main__":
    sys.exit(main())
