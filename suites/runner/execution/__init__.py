"""Cells run in worker processes, and what a record says of it."""
