"""Engines: the processes that serve workloads, and how one is chosen, started and stopped."""
