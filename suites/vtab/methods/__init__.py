"""Methods that only a vision backbone can have: one file for each."""
