"""Draw molecules for scaffolds that training never saw, and look whether they hold them."""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from rdkit import Chem

from sparsebench.data.molecules.moses import moses
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.molecules import Drawn, MoleculeSet, to_details
from sparsebench.reports.record import Metric

from ..contracts.context import Context
from ..contracts.metrics import Scores
from .metrics.share import share
from .moses_task import DRAWN

SCAFFOLDS = 20


def hold_scaffolds(sampler: Any, count: int, context: Context) -> tuple[Scores, Mapping[str, Any]]:
    """`count` molecules for each scaffold."""
    draw = context.task_generator("sampling")
    made = [
        (scaffold, one) for scaffold in held_out_scaffolds() for one in sampler.draw(count, (), draw, scaffold=scaffold)
    ]
    held = [_holds(one, scaffold) for scaffold, one in made]
    exact = [scaffold_of(one.smiles or "") == scaffold for scaffold, one in made]
    good = [one.smiles for (_, one), holds in zip(made, held, strict=True) if holds]
    metrics: dict[str, Metric] = {"holds": share(sum(held), len(held)), "exact scaffold": share(sum(exact), len(exact))}
    if good:
        metrics["different"] = share(len(set(good)), len(good))
    drawn = [Drawn(made[0][0], "wanted"), *(Drawn(one.smiles or "") for _, one in made[: min(count, DRAWN - 1)])]
    return Scores("holds", metrics, {"holds": held}), to_details([MoleculeSet("a scaffold", "grid", tuple(drawn))])


@functools.cache
def held_out_scaffolds() -> tuple[str, ...]:
    """Different ones, of random molecules of the scaffold test part."""
    molecules = moses("test_scaffolds")
    order = torch.randperm(len(molecules), generator=torch.Generator().manual_seed(0)).tolist()
    found: dict[str, None] = {}
    for row in order:
        found[scaffold_of(molecules[row])] = None
        if len(found) == SCAFFOLDS:
            break
    return tuple(found)


def _holds(made: Generated, scaffold: str) -> bool:
    return made.mol is not None and made.mol.HasSubstructMatch(Chem.MolFromSmiles(scaffold))
