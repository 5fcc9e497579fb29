"""How the weights of a mixture start and move: one strategy a file."""
