"""What the platform stores, in one SQLite file."""

from inferencekey.local.store.store import Store, open_store, store_path

__all__ = ["Store", "open_store", "store_path"]
