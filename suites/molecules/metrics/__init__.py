"""Metrics of generated molecules: those of MOSES (Polykovskiy et al., Front. Pharmacol. 2020, 11, 565644)."""
