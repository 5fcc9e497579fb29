"""How the published tables (`reports/published`) are made again here: what that needs, and ours beside theirs."""
