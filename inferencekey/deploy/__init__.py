"""A manifest against a platform: what would change, and making it so."""
