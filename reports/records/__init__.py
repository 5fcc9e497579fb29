"""Records of cells, and what is kept of them in a result folder."""
