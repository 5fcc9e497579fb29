"""Models of a million parameters with bytes as tokens, and the scripts that trained them."""
