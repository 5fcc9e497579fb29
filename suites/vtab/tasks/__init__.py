"""One file for each task; the file name is its public name."""
