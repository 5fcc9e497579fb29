"""Attention of short sequences by matrix products, and attention with further keys and values."""
