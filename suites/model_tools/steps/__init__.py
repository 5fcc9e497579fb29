"""What can be done to a model, a step a class: cut it into experts, leave parts out, prune, round, search, heal."""
