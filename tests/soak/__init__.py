"""Ten minutes of random faults: ``python -m soak.soak`` with ``tests`` on the path, or ``nox -s soak``."""
