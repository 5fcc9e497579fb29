"""What there is to run, and the source files behind it: read without running anything, then loaded."""
