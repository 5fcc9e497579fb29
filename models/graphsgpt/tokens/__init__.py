"""Molecules to tokens and back, and stores of tokens."""
