"""Which neurons form an expert, and which tokens go to it, learnt together against the dense model (DOT-MoE)."""
