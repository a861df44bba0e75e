"""The data plane: the bodies of requests, and what responses and streams mean."""
