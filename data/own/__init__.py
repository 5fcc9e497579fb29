"""Data of the user's own with a label: class folders of images, tables of texts, tables of molecules."""
