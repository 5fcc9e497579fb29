"""Molecules that a model writes: how they are sampled, and what the tasks that score them have in common."""
