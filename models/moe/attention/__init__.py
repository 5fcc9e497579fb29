"""Attention experts."""
