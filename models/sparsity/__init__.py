"""Masks, criteria, budgets and selection: what any pruned module stands on."""
