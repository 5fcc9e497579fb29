"""What a cell is: its key, the hash of the code behind it, the weights that it names."""
