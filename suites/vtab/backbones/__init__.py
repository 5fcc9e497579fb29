"""One file for each backbone; the file name is its public name."""
