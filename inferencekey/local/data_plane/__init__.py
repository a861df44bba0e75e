"""The data plane: calls to workloads are checked here and served by their engines."""
