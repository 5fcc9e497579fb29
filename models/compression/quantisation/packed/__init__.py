"""Weights of few bits in packed storage, and products with them."""
