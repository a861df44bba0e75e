"""The control plane's decisions: specs, policies, plans, and the steps of ``ensure`` and ``apply``."""
