"""Dynamic and partially dynamic networks."""
