"""GraphsGPT: molecules as graph words, and back (arXiv 2402.02464)."""
