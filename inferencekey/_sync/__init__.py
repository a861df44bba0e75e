# Generated from inferencekey/_async by inferencekey/_codegen/generate.py: edit the source, then run it.
"""The async API's classes for code that does not await. Generated."""
