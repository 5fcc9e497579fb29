"""Smaller weights of experts, and of other linear maps when asked: pruning to zeros."""
