"""Small real models that serve a workload whose own program is not installed here."""
