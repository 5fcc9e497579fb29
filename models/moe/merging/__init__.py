"""Branches of a model to one mixture (Branch-Train-MiX)."""
