"""Dense models to mixtures of experts and back."""
