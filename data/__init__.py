"""Data and weights with provenance: where every byte comes from, and how it is checked."""
