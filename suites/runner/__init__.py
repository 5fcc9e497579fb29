"""Plans the cells, runs them in worker processes, and speaks to the user."""
