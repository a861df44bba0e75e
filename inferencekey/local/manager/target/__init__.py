"""How many engines a workload must have: its policy, the time and the load."""
