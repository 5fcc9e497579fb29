"""Causal language models as every task here sees them: the protocol, loading, what routers do with a text."""
