"""The papers' trainings at full size, for a user with GPUs: recipes, their plan by shapes, a command to run them."""
