"""Which molecules of a table have stereo, and which differ in nothing else."""

from dataclasses import dataclass

from .labelled import OwnTable
from .repeated import alike, disagree, listed


@dataclass(frozen=True)
class Stereo:
    """How many rows have stereo (a tetrahedral centre or a double bond), and what hangs on it."""

    rows: int
    decisive: tuple[str, ...]
    """Molecules that differ in stereo alone and have different values, with their rows from 1, as texts."""


def stereo_of(table: OwnTable) -> Stereo:
    """The stereo of molecules that RDKit reads.

    Args:
        table: of molecules.

    Returns:
        What was found.
    """
    from rdkit.Chem import MolFromSmiles, MolToSmiles, RemoveStereochemistry
    from rdkit.rdBase import BlockLogs

    whole: list[str] = []
    flat: dict[int, str] = {}
    with BlockLogs():
        for row, smiles in enumerate(table.inputs):
            molecule = MolFromSmiles(smiles)
            whole.append(MolToSmiles(molecule))  # a sign that means nothing, as in C[C@H](C)C, is not in it
            RemoveStereochemistry(molecule)
            flat[row] = MolToSmiles(molecule)
    decisive = []
    for rows in alike(flat):
        if len({whole[row] for row in rows}) > 1 and disagree(table.values[rows]):
            decisive.append(f"{listed([table.places[row] for row in rows])} ({flat[rows[0]]})")
    return Stereo(sum(any(sign in text for sign in "@/\\") for text in whole), tuple(decisive))
