"""How many engines a workload has, and how it gets there: what the platform's manager does.

``policy`` and ``desired`` decide, ``replica`` runs one engine, ``workload`` brings the one in line with the other.
"""
