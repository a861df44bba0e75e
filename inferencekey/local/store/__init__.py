"""What the platform stores, in one SQLite file."""
