"""Rounding weights to a grid: to the nearest, GPTQ, AWQ, and the scales that norms take up."""
