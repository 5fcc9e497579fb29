"""Compression of mixtures of experts: fewer experts and layers (`trimming`), smaller weights (`slimming`)."""
