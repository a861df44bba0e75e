"""How much the clients cost, measured beside floors and peers.

``python -m benchmarks --help``; docs/performance.md.
"""
