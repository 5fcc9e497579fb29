"""Families of backbones that a task or a method of this suite asks for, as their files name them (`FAMILY`)."""

GENERATOR = "molecule generator"
"""Writes molecules: `GraphsGPT`."""
ENCODER = "molecule encoder"
"""Gives graph words of molecules: `Graph2Seq`."""
