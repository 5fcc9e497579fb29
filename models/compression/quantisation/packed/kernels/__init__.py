"""Products with packed weights that never make the dense ones, and the reasons why some are made after all."""
