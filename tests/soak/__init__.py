"""Ten minutes of random faults: ``nox -s soak``."""
