"""Mixtures of experts made from dense models."""
