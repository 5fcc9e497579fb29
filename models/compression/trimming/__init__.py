"""Expert Trimming: fewer experts, layers or blocks."""
