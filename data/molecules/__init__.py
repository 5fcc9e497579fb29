"""Molecule tables with measured properties, scaffold splits, and MOSES with its reference statistics."""
