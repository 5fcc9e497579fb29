"""Cells that take seconds, and say in a file of their own that they came to their end."""
