"""Programs that measure themselves once and end: what must be seen in a fresh process."""
