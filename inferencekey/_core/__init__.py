"""What can be decided without I/O.

Two rules: nothing here reads a clock, draws a random number, logs or opens anything (time and jitter are arguments);
and every buffer has a cap.
"""
