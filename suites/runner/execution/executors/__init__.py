"""Where cells run: in worker processes here, or on many machines. One interface, and one module or folder for each."""
