"""The formats of a manifest: where each value stands in TOML, JSON and YAML."""
