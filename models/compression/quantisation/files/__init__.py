"""Files of packed weights: our own and `compressed-tensors`."""
