"""A MiniMol as small as it can be with two blocks."""

from sparsebench.models.molecules.minimol import MiniMolConfig

SMALL = MiniMolConfig(layers=4, width=24, out=40, entry=16, bonds=12, hidden_atoms=20, hidden_bonds=16, position=8)
