"""A model as it is used: written to a folder, opened by a fresh process, read and continued there."""
