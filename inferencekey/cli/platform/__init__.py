"""The local platform from the command line: serving, in the background, the demo, its variables."""
