"""How many engines each workload has, and how they start and stop.

``policy`` and ``decide`` say how many engines there must be; ``replica`` runs one engine;
``workload`` starts and stops replicas until the numbers agree.
"""
