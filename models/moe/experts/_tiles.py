"""What one program of the kernels in `_triton_products` computes at once; without Triton, for what reckons with it."""

TILE_S = 64
"""Rows of one expert."""
TILE_O = 64
"""Outputs."""
TILE_I = 32
"""Inputs in a step."""
WARPS = 4
