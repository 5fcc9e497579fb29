"""Sample molecules for scaffolds that training never saw, and look whether they hold them."""

from typing import Any

import torch
from rdkit import Chem

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.moses import moses
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.molecules import Drawn, MoleculeSet, to_details
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..metrics.fraction import fraction
from .moses import SHOWN

SCAFFOLDS = 20


def hold_scaffolds(sampler: Any, count: int, context: Context) -> Scores:
    """Scores, with the molecules to be drawn, of `count` molecules for each scaffold."""
    generator = context.task_generator("sampling")
    generated: list[Generated] = []
    holds: list[bool] = []
    exact: list[bool] = []
    for scaffold in held_out_scaffolds():
        for one in sampler.sample(count, (), generator, scaffold=scaffold):
            generated.append(one)
            holds.append(_holds(one, scaffold))
            exact.append(_has_exactly(one, scaffold))
    metrics: dict[str, Metric] = {
        "holds": fraction(sum(holds), len(holds)),
        "exact scaffold": fraction(sum(exact), len(exact)),
    }
    holding = [one.smiles for one, good in zip(generated, holds, strict=True) if good]
    if holding:
        metrics["different"] = fraction(len(set(holding)), len(holding))
    drawn = _drawn(held_out_scaffolds()[0], generated[: min(count, SHOWN - 1)])
    return Scores("holds", metrics, {"holds": holds}, to_details([drawn]))


@cached_reads()
def held_out_scaffolds() -> tuple[str, ...]:
    """Different ones, of random molecules of the scaffold test part."""
    molecules = moses("test_scaffolds")
    order = torch.randperm(len(molecules), generator=torch.Generator().manual_seed(0))
    found: dict[str, None] = {}
    for row in order.tolist():
        found[scaffold_of(molecules[row])] = None
        if len(found) == SCAFFOLDS:
            break
    return tuple(found)


def _has_exactly(one: Generated, scaffold: str) -> bool:
    return one.smiles is not None and scaffold_of(one.smiles) == scaffold


def _holds(one: Generated, scaffold: str) -> bool:
    return one.mol is not None and one.mol.HasSubstructMatch(Chem.MolFromSmiles(scaffold))


def _drawn(scaffold: str, generated: list[Generated]) -> MoleculeSet:
    """The wanted scaffold, and the first molecules that were sampled for it."""
    drawn = [Drawn(scaffold, "wanted")]
    drawn += [Drawn(one.smiles or "") for one in generated]
    return MoleculeSet("a scaffold", "grid", tuple(drawn))
