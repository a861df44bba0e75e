"""Decisions without I/O, which the clients and the local platform share.

Two rules hold here. Nothing reads a clock, draws a random number, logs or opens anything: time and
jitter are arguments, and import-linter checks the imports. And every buffer has a limit.
"""
