"""The control plane: specs, policies, plans, and the steps of ``ensure`` and ``apply``."""
