"""Programs that are installed on this machine, launched as the engines of workloads."""
