"""Molecules as feature vectors: one file for each feature extractor."""
