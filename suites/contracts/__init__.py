"""What a suite, a method and a task promise, and what a cell hands to them."""
