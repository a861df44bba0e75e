"""The control plane: workloads are created, listed, changed and deleted here."""
