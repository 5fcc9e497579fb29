"""Fewer experts, layers, weights or bits."""
