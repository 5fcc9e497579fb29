"""Vision: the VTAB-1K protocol (1,000 training images for each task)."""
