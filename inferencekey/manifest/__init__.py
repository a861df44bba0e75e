"""Manifests: the workloads of a project in a file, and the lock file of what it created."""

from inferencekey.manifest.dump import FORMATS, dump_manifest, spec_of
from inferencekey.manifest.load import Manifest, Place, find_manifest, load_manifest
from inferencekey.manifest.lock import Lock, LockEntry
from inferencekey.manifest.problems import ManifestError, ManifestProblem
from inferencekey.manifest.schema import manifest_schema
from inferencekey.manifest.source import SUFFIXES
from inferencekey.manifest.starter import starter_manifest

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Lock",
    "LockEntry",
    "Manifest",
    "ManifestError",
    "ManifestProblem",
    "Place",
    "dump_manifest",
    "find_manifest",
    "load_manifest",
    "manifest_schema",
    "spec_of",
    "starter_manifest",
]
