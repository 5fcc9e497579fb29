"""Small trainable modules on a frozen model, and their pruning at initialisation."""
