"""Image classification sets in VTAB-1K sizes: 800 for training, 200 for validation, a fixed test part."""
