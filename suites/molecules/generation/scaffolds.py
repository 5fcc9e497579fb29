"""Sample molecules for scaffolds that training never saw, and look whether the request steers to them."""

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


def score_scaffolds(sampler: Any, count: int, context: Context) -> Scores:
    """Scores, with the molecules to be drawn, of `count` molecules for each scaffold.

    "steers": the fraction that hold the scaffold where nothing but the words asks for it. A molecule that starts as the
    scaffold holds it by construction, which says nothing of the model, so molecules are sampled once more without.
    "exact scaffold" is of molecules as the sampler makes them, "different" of those among them that hold it.
    """
    steered = _sampled(sampler.without_prefix(), count, context.task_generator("steering"))
    made = _sampled(sampler, count, context.task_generator("sampling"))
    steers = [_holds(one, scaffold) for one, scaffold in steered]
    exact = [_has_exactly(one, scaffold) for one, scaffold in made]
    metrics: dict[str, Metric] = {
        "steers": fraction(sum(steers), len(steers)),
        "exact scaffold": fraction(sum(exact), len(exact)),
    }
    holding = [one.smiles for one, scaffold in made if _holds(one, scaffold)]
    if holding:
        metrics["different"] = fraction(len(set(holding)), len(holding))
    drawn = _drawn(held_out_scaffolds()[0], [one for one, _ in made[: min(count, SHOWN - 1)]])
    return Scores("steers", metrics, {"steers": steers}, to_details([drawn]))


def _sampled(sampler: Any, count: int, generator: torch.Generator) -> list[tuple[Generated, str]]:
    """`count` molecules for each scaffold, with it."""
    made = []
    for scaffold in held_out_scaffolds():
        made += [(one, scaffold) for one in sampler.sample(count, (), generator, scaffold=scaffold)]
    return made


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
