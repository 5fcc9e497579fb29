"""Methods that only language models can have."""
