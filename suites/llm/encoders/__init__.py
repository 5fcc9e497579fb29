"""Encoders of texts, and the protocol of the tasks that put a head on them."""
