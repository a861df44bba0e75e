"""What the clients report to people: the log, and warnings."""
