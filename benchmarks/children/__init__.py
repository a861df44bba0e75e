"""Programs that run in new processes and measure themselves."""
