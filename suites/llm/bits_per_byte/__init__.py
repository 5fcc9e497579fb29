"""Tasks that score a causal language model by the bits that it needs for one byte of text."""
