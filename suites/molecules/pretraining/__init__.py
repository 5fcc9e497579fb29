"""Pre-training of GraphsGPT: `python -m sparsebench.suites.molecules.pretraining --help`."""
