"""Networks and fingerprints for molecules that are not GraphsGPT."""
