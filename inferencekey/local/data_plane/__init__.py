"""The data plane: calls to workloads are checked here and answered by their engines."""
