# Generated from inferencekey/_async by inferencekey/_codegen/generate.py.
"""The async API's classes for code that does not await. Generated."""
