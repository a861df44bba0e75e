"""Runs a program of ``children`` in any environment: ``python -P launch.py MODULE ARGUMENTS…``.

It makes this folder importable as ``benchmarks``, and nothing beside it: next to it lies the package that is measured,
and the official SDK's package has the same name. What else it is told, it is told by the environment. It imports
nothing, so that what a child measures of its own start is not done before.
"""

import os
import sys

CHECKOUT = "BENCHMARKS_CHECKOUT"
"""Where ours is, if it is not installed."""

INSTEAD = "BENCHMARKS_INSTEAD"
"""Where ours is, even if it is installed."""

UVLOOP = "BENCHMARKS_UVLOOP"
"""Without it uvloop is as good as not installed: whoever tries to import it is told so."""

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
