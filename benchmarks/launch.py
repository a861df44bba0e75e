"""Runs a program of ``children`` in any environment: ``python -P launch.py MODULE ARGUMENTS…``.

It makes this folder importable as ``benchmarks``, and nothing beside it: the package that is
measured is in the same folder, and the official SDK's package has the same name. Environment
variables set everything else. It imports almost nothing, because children measure their own start.
"""

import os
import sys

CHECKOUT = "BENCHMARKS_CHECKOUT"
"""The folder of our package, for an environment in which it is not installed."""

INSTEAD = "BENCHMARKS_INSTEAD"
"""The folder of our package, used even if one is installed."""

UVLOOP = "BENCHMARKS_UVLOOP"
"""Without this variable, importing uvloop fails as if it were not installed."""

if __name__ == "__main__":
    if CHECKOUT in os.environ:
        sys.path.append(os.environ[CHECKOUT])
    if INSTEAD in os.environ:
        sys.path.insert(0, os.environ[INSTEAD])
    if UVLOOP not in os.environ:
        sys.modules["uvloop"] = None  # type: ignore[assignment]
    package = sys.modules["benchmarks"] = type(sys)("benchmarks")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    name = f"benchmarks.children.{sys.argv.pop(1)}"
    __import__(name)
    sys.modules[name].main()
