"""The machine that trains: how fast it multiplies, and what its memory allocator does."""
