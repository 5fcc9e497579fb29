"""Tasks that predict a label or a number from features."""
