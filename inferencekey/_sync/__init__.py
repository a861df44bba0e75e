# Generated from inferencekey/_async by inferencekey/_codegen/generate.py.
"""The sync classes of ``inferencekey/_async``."""
