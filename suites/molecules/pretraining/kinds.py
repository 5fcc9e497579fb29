"""Molecules of other kinds than MOSES's, for `--more` of the pre-training: so that words hold more than lead-like ones.

    python -m sparsebench.suites.molecules.pretraining.kinds OUT.smi

MOSES has no charges, no molecule below 250 Da, and seven elements. Here are, without stereo:

- 60,000 screening compounds: of MUV and HIV of MoleculeNet (`SPARSEBENCH_MOLECULENET`), structures alone, no labels,
  and of 15,000 molecules that RDKit brings (NCI, WEHI), all of them with equal chances;
- those of them that have an acid or an amine, ionised as in water, three times each: a third of ZINC is charged;
- 30,000 pieces of them, as small as the molecules of ESOL;
- 20,000 training molecules of QM9 (`SPARSEBENCH_QM9`).

None is in a table of the suite that comes with a package (FreeSolv, solubility, B3DB, QM9's labels), in another table
of MoleculeNet than these two, in the test part of `qm9_reconstruction`, in MOSES's test parts or its `validation_set`.
Whoever measures properties on MUV or HIV should know that their structures were seen.
"""

import csv
import gzip
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from rdkit import Chem, RDConfig, rdBase

from sparsebench.data.manifest import source
from sparsebench.data.molecules.moses import moses
from sparsebench.data.molecules.qm9 import qm9_labels
from sparsebench.data.molecules.tables import b3db, freesolv, solubility
from sparsebench.data.sources import path

from ...contracts.seeds import derive_seed
from ..generation.moses import validation_set
from ..tasks.qm9_reconstruction import qm9_parts

SCREENS = ("muv", "hiv")
LARGEST = 40
"""Heavy atoms; ZINC's molecules have up to 37."""
SMALLEST = 3
SCREENED = 60_000
QM9_MOLECULES = 20_000
PIECES = 30_000
COPIES = 3
CHUNK = 256
AMINE = Chem.MolFromSmarts("[NX3;+0;!$(N~[!#6]);!$(N-[#6;!X4])]")
"""A nitrogen all of whose neighbours are saturated carbon."""
ACID = Chem.MolFromSmarts("[OX2H1;$(O-C=O)]")
CUT = Chem.MolFromSmarts("[#6;!D1]-;!@[!D1]")
"""A single bond outside of rings, from a carbon, that does not end in a single atom."""
Kinds = tuple[tuple[str, str], ...]
"""(kind, SMILES) of what is made of one molecule."""


def main(
    out: Annotated[Path, typer.Argument(help="File to write: a SMILES string and its kind in each line.")],
    workers: Annotated[int, typer.Option(help="Processes; 1: this one.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the order, and of where molecules are cut.")] = 0,
) -> None:
    """Write the molecules of other kinds, in random order, and print how many of each there are."""
    train, test = qm9_parts()
    kept_back = flat([*_table_molecules(), *test], workers)
    kept_back.update(moses("test"), moses("test_scaffolds"), validation_set())
    found = dict.fromkeys(flat(train[:QM9_MOLECULES], workers), "small")
    screened = _screened()
    random.Random(seed).shuffle(screened)
    for kind, smiles in _of_all(partial(kinds_of, seed=seed), screened[:SCREENED], workers):
        found.setdefault(smiles, kind)
    kept = {smiles: kind for smiles, kind in found.items() if smiles not in kept_back}
    lines = composed(kept, seed)
    out.write_text("".join(f"{smiles}\t{kind}\n" for smiles, kind in lines), encoding="utf-8")
    for kind, count in Counter(kind for _, kind in lines).most_common():
        typer.echo(f"{kind}\t{count}")
    typer.echo(f"left out, since a table or a test part has them\t{len(found) - len(kept)}")


def composed(kinds: Mapping[str, str], seed: int) -> list[tuple[str, str]]:
    """(SMILES, kind) in random order: at most `PIECES` pieces, `COPIES` of each ionised molecule, and all others."""
    lines = sorted(kinds.items())
    random.Random(seed).shuffle(lines)
    pieces = [line for line in lines if line[1] == "piece"][:PIECES]
    charged = [line for line in lines if line[1] == "ionised"] * COPIES
    chosen = [*pieces, *charged, *(line for line in lines if line[1] not in ("piece", "ionised"))]
    random.Random(seed).shuffle(chosen)
    return chosen


def flat(molecules: Iterable[str], workers: int) -> set[str]:
    """Canonical SMILES without stereo of those that can be read."""
    return {smiles for _, smiles in _of_all(_flat, list(molecules), workers)}


def kinds_of(text: str, seed: int) -> Kinds:
    """The molecule of a SMILES string, its ionised form and pieces of it, each as ("screen", SMILES) and so on.

    Args:
        text: SMILES; what cannot be read, or has several parts, gives nothing.
        seed: with the string it says where the molecule is cut.

    Returns:
        Canonical SMILES without stereo, of `SMALLEST` to `LARGEST` heavy atoms.
    """
    molecule = _read(text)
    if molecule is None or len(Chem.GetMolFrags(molecule)) > 1:
        return ()
    found = [("screen", molecule)]
    charged = ionised(molecule)
    if charged is not None:
        found.append(("ionised", charged))
    found += [("piece", piece) for piece in pieces(molecule, random.Random(derive_seed(seed, text)))]
    fitting = [(kind, one) for kind, one in found if SMALLEST <= one.GetNumHeavyAtoms() <= LARGEST]
    return tuple((kind, Chem.MolToSmiles(one)) for kind, one in fitting)


def ionised(molecule: Chem.Mol) -> Chem.Mol | None:
    """As about in water: each acid without its proton, the first amine with one more; None if it has neither."""
    acids = [place for (place,) in molecule.GetSubstructMatches(ACID)]
    amines = [place for (place,) in molecule.GetSubstructMatches(AMINE)]
    if not acids and not amines:
        return None
    changed = Chem.RWMol(molecule)
    for place, charge in [*((acid, -1) for acid in acids), *((amine, 1) for amine in amines[:1])]:
        atom = changed.GetAtomWithIdx(place)
        atom.SetNumExplicitHs(atom.GetTotalNumHs() + charge)
        atom.SetNoImplicit(True)
        atom.SetFormalCharge(charge)
    Chem.SanitizeMol(changed)
    return changed.GetMol()


def pieces(molecule: Chem.Mol, rng: random.Random) -> list[Chem.Mol]:
    """The two pieces at a random bond, closed by hydrogen; none where nothing can be cut."""
    places = molecule.GetSubstructMatches(CUT)
    if not places:
        return []
    bond = molecule.GetBondBetweenAtoms(*rng.choice(places)).GetIdx()
    parts = Chem.FragmentOnBonds(molecule, [bond], addDummies=False)
    # Written and read again: hydrogen is then where the valence asks for it.
    read = [_read(Chem.MolToSmiles(part)) for part in Chem.GetMolFrags(parts, asMols=True)]
    return [piece for piece in read if piece is not None]


def _screened() -> list[str]:
    """The screening compounds, as they come."""
    data = Path(RDConfig.RDDataDir)
    found = [smiles for name in SCREENS for smiles in _strings(name)]
    for line in (data / "NCI" / "first_5K.smi").read_text(encoding="utf-8").splitlines():
        found.append(line.split()[0])
    for line in (data / "Pains" / "test_data" / "wehi_mols.csv").read_text(encoding="utf-8").splitlines()[1:]:
        found.append(line.split(",")[0].strip('"'))
    return found


def _table_molecules() -> Iterator[str]:
    """Molecules whose properties the suite predicts."""
    for table in (freesolv(), b3db(), *solubility(), qm9_labels("gap")):
        yield from table.smiles
    for name in sorted(set(source("moleculenet").paths) - set(SCREENS)):
        yield from _strings(name)


def _strings(name: str) -> list[str]:
    """The strings of a set of MoleculeNet, whether or not they can be read."""
    with gzip.open(path("moleculenet", name), "rt", encoding="utf-8") as lines:
        return [row["smiles"] for row in csv.DictReader(lines)]


def _of_all(make: Callable[[str], Kinds], molecules: Sequence[str], workers: int) -> Iterator[tuple[str, str]]:
    if workers == 1:
        for text in molecules:
            yield from make(text)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(make, molecules, chunksize=CHUNK):
            yield from found


def _flat(text: str) -> Kinds:
    molecule = _read(text)
    return () if molecule is None else (("flat", Chem.MolToSmiles(molecule)),)


def _read(text: str) -> Chem.Mol | None:
    """The molecule without stereo and isotopes."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text)
        if molecule is None:
            return None
        Chem.RemoveStereochemistry(molecule)
        for atom in molecule.GetAtoms():
            atom.SetIsotope(0)
        return Chem.MolFromSmiles(Chem.MolToSmiles(molecule))


if __name__ == "__main__":
    typer.run(main)
