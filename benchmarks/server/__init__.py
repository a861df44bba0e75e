"""The server of the benchmarks: its own process, which renders all responses before it listens."""
