"""How commands print: results, plans, workloads and errors."""
