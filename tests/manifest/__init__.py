"""Manifests: reading, checking, writing, and the lock file."""
