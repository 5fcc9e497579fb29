"""Mixture-of-Experts feed-forward layers made from dense ones."""
