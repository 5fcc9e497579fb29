"""Language models: bits per byte and zero-shot accuracy."""
