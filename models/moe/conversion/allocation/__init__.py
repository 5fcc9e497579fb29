"""How many blocks of neurons each layer keeps always on, where all layers have equally many on for a token."""
