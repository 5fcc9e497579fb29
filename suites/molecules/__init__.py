"""Molecules: property prediction on scaffold splits."""
