"""Mixtures saved, loaded, and turned back into dense layers."""
