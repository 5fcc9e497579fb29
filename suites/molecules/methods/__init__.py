"""Methods that only molecules can have."""
