"""Adapters pruned at initialisation (SparseAdapter)."""
