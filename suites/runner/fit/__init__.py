"""Data of one's own: choose a row, keep its model, predict with it."""
