"""One file for each benchmarked method; the file name is its public name."""
