"""What a score of a table does not say by itself, in words."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from sparsebench.data.labelled.dealt import PARTS
from sparsebench.data.own.labelled import OwnTable
from sparsebench.data.own.stereo import stereo_of

from ...contracts.traits import FEATURES, GRAPH_WORDS
from ..discovery.loading import backbone_loader
from ..discovery.registry import find

MOST_NAMED = 5
"""Rows, molecules or classes of a kind that a line names."""
LONGEST = 60
"""Characters of a molecule in a line: those with too many atoms are named, too."""
WITHOUT_STEREO = ("ecfp4",)
"""Backbones of molecules that have no stereo in their features, beside those that give graph words."""


def first(texts: Sequence[str]) -> str:
    """The first ones, and whether there are more."""
    more = "; ..." if len(texts) > MOST_NAMED else ""
    return "; ".join(texts[:MOST_NAMED]) + more


def about_stereo(table: OwnTable, backbones: Sequence[str]) -> list[str]:
    """How many molecules have stereo that rows on these backbones do not see, and where it alone makes a difference."""
    blind = [name for name in backbones if _is_blind(name)]
    found = stereo_of(table)
    if not blind or not found.rows:
        return []
    who = "no row sees" if len(blind) == len(backbones) else "the rows on these do not see"
    said = f"{found.rows} of {len(table.inputs)} molecules have stereo (of a centre or a double bond), which {who}"
    groups = "1 group" if len(found.decisive) == 1 else f"{len(found.decisive)} groups"
    decisive = f"{groups} of molecules that differ in it alone have different values"
    if found.decisive:
        decisive += f": {first(found.decisive)}"
    return [f"{said} ({', '.join(blind)}); {decisive}"]


def about_refused(table: OwnTable, backbones: Sequence[str]) -> list[str]:
    """For each of these backbones that gives graph words, the molecules that are none to it.

    A backbone that cannot be loaded says so itself, in the reason of its cells.
    """
    from ...molecules.features.graph2seq import Graph2SeqBody
    from ...molecules.refused import refused

    said = []
    for name in backbones:
        entry = find("backbone", name, "molecules")
        if not {GRAPH_WORDS, FEATURES} <= (entry.traits or set()):
            continue
        try:
            body = backbone_loader(entry, name)(torch.Generator().manual_seed(0))
        except ValueError:
            continue
        found = refused(body, table.inputs) if isinstance(body, Graph2SeqBody) else {}
        if found:
            rows = [f"row {table.places[row] + 1} ({_short(table.inputs[row])}): {why}" for row, why in found.items()]
            what = "to its rows, trained and scored, each is the molecule without atoms, and `predict` will refuse it"
            said.append(f"{name} refuses {len(found)} of {len(table.inputs)} molecules; {what}: {first(rows)}")
    return said


def _short(smiles: str) -> str:
    return smiles if len(smiles) <= LONGEST else f"{smiles[:LONGEST]}..."


def _is_blind(backbone: str) -> bool:
    entry = find("backbone", backbone, "molecules")
    return entry.name in WITHOUT_STEREO or GRAPH_WORDS in (entry.traits or ())


def about_absent(absent: Mapping[str, Sequence[str]]) -> list[str]:
    """Classes without an example in some part, by part: an accuracy does not say what became of them."""
    if not absent:
        return []
    found = "; ".join(f"{part}: {_named(names)}" for part, names in absent.items())
    return [f"classes without an example, by part ({found}): the score of such a part says nothing of them"]


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:MOST_NAMED])) + (", ..." if len(names) > MOST_NAMED else "")


def about_one_class(table: OwnTable) -> list[str]:
    """Yes/no columns that have no two classes in some part, by part: the mean ROC-AUC of that part leaves them out."""
    if table.goal != "multilabel":
        return []
    found = []
    for part in PARTS:
        values = table.values[table.rows(part)]
        names = [
            name
            for name, column in zip(table.columns.targets, values.T, strict=True)
            if len(np.unique(column[~np.isnan(column)])) < 2
        ]
        if names:
            found.append(f"{part}: {', '.join(names)}")
    if not found:
        return []
    said = "the score of a part is the mean over its other columns, and of one class alone little is learnt"
    return [f"columns without both classes, by part ({'; '.join(found)}): {said}"]
