"""The machine that trains: how fast it multiplies, what its allocator does, whose time and operations are whose."""
