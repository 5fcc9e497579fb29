"""Two models that train together on one task, each with its own view of the examples."""
