"""Weights: what the ``source`` of a model means, and how they come to this host."""
