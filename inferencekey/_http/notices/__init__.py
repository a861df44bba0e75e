"""What the clients report to people: log lines and warnings."""
