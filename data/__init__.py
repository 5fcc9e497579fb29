"""Sources with checksums, and readers of text, images and molecules. Knows no model and no suite."""
