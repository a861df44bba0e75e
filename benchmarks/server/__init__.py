"""The server of the benchmarks: a process of its own that answers with bytes it prepared before the first request."""
