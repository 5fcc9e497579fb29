"""Routers, balance losses and statistics of routing."""
