"""All metrics of MOSES at once, against its packaged reference statistics.

The number of molecules biases some of them. Random molecules of MOSES's training set against its test set give:

| molecules | FCD | Scaf | Frag | SNN | IntDiv |
| --- | --- | --- | --- | --- | --- |
| 1,000 | 1.272 | 0.510 | 0.9979 | 0.642 | 0.856 |
| 3,000 | 0.419 | 0.713 | 0.9993 | 0.642 | 0.858 |
| 10,000 | 0.130 | 0.874 | 0.9998 | 0.642 | 0.857 |
| 30,000 | 0.048 | 0.948 | 0.9999 | 0.642 | 0.857 |
| all, as published | 0.008 | 0.991 | 1.0 | 0.642 | 0.857 |

This FCD is about 1,240 (1 / n + 1 / 176,074), and so is the published 0.008: the training set is as near to the test
set as another sample of the same molecules can be. MOSES scores models with 30,000 molecules.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from sparsebench.data.molecules.moses import moses, moses_statistics
from sparsebench.data.sources import path
from sparsebench.models.molecules.chemnet import ChemNet, load_chemnet
from sparsebench.reports.records.record import Metric

from .counters import cosine, fragments, scaffolds
from .distributions import UNITS, frechet_chemnet_distance, property_values, wasserstein
from .diversity import internal_diversity, snn
from .filters import filters, read_patterns
from .fingerprints import morgan
from .reading import Generated, novelty, read, unique, validity

Reference = Literal["test", "test_scaffolds"]
SUFFIX: dict[Reference, str] = {"test": "/Test", "test_scaffolds": "/TestSF"}
UNIQUE_AT = (1000, 10000)
METRIC_NAMES = (
    "FCD/Test",
    "valid",
    "unique@*",
    "SNN/Test",
    "Frag/Test",
    "Scaf/Test",
    "IntDiv",
    "IntDiv2",
    "Filters",
    "logP",
    "SA",
    "QED",
    "weight",
    "Novelty",
)
"""What `moses_metrics` gives against the test part; the star stands for a number of molecules."""


def moves_with_number(name: str) -> bool:
    """Whether a metric moves with the number of molecules, so that only equal numbers are compared: FCD, Frag, Scaf and
    the four distances do; SNN does not, and fractions say of what they are."""
    return name.partition("/")[0] in ("FCD", "Frag", "Scaf", *UNITS)


def moses_metrics(
    generated: Sequence[str | None],
    reference: Reference = "test",
    *,
    training: Collection[str] | None = None,
    statistics: Mapping[str, Any] | None = None,
    chemnet: ChemNet | None = None,
) -> dict[str, Metric]:
    """Metrics by MOSES's names: valid, unique@1000, unique@10000, FCD/Test, SNN/Test, Frag/Test, Scaf/Test, IntDiv,
    IntDiv2, Filters, logP, SA, QED, weight, Novelty.

    ``generated`` holds one SMILES string, or None, per attempt. Against the scaffold test set the suffix is /TestSF,
    and the four distances are logP/TestSF and so on; MOSES has those to the test set only, without a suffix. Invalid
    entries count in "valid" alone. A metric that is not defined is missing: unique@k with fewer than k valid
    molecules, FCD with fewer than two, Scaf without a scaffold on either side, all but "valid" without a valid
    molecule.

    ``training`` are canonical SMILES, by default MOSES's training set; ``statistics`` those of `moses_statistics` for
    ``reference``, and ``chemnet`` the network: give what is at hand to save reading it again. FCD and the four
    distances fall as molecules are added, and Scaf rises (see above): compare equal numbers only. Raises ValueError
    without entries and for an unknown reference, and `DataError` when a package cannot be had.
    """
    if reference not in SUFFIX:
        raise ValueError(f"reference={reference!r} is not one of {', '.join(get_args(Reference))}")
    entries = read(generated)
    metrics = {"valid": validity(entries)}
    if not entries.smiles:
        return metrics
    for k in UNIQUE_AT:
        if len(entries.smiles) >= k:
            metrics[f"unique@{k}"] = unique(entries.smiles, k)
    if statistics is None:
        statistics = moses_statistics(reference)
    if chemnet is None:
        chemnet = load_chemnet(path("chemnet", "weights"))
    metrics |= _compared(entries, statistics, chemnet, SUFFIX[reference])
    metrics["Filters"] = filters(entries.molecules, read_patterns(*_filter_files()))
    metrics |= _distances(entries, statistics, "" if reference == "test" else SUFFIX[reference])
    metrics["Novelty"] = novelty(entries.smiles, moses("train") if training is None else training)
    return metrics


def _compared(entries: Generated, statistics: Mapping[str, Any], chemnet: ChemNet, suffix: str) -> dict[str, Metric]:
    """FCD, SNN, Frag and Scaf, and the internal diversity, which needs the same fingerprints."""
    n = len(entries.smiles)
    metrics = {}
    if n > 1:
        reference = statistics["FCD"]
        activations = chemnet.activations(entries.smiles).numpy()
        metrics[f"FCD{suffix}"] = frechet_chemnet_distance(activations, reference["mu"], reference["sigma"])
    bits = morgan(entries.molecules)
    metrics[f"SNN{suffix}"] = snn(bits, statistics["SNN"]["fps"])
    metrics[f"Frag{suffix}"] = cosine(fragments(entries.molecules), statistics["Frag"]["frag"], n)
    known = statistics["Scaf"]["scaf"]
    if known and (found := scaffolds(entries.molecules)):
        metrics[f"Scaf{suffix}"] = cosine(found, known, n)
    metrics["IntDiv"], metrics["IntDiv2"] = internal_diversity(bits)
    return metrics


def _distances(entries: Generated, statistics: Mapping[str, Any], suffix: str) -> dict[str, Metric]:
    """Wasserstein distances of logP, SA, QED and weight; none when no molecule has values."""
    metrics = {}
    for name, sample in property_values(entries.molecules).items():
        if len(sample):
            metrics[f"{name}{suffix}"] = wasserstein(sample, statistics[name]["values"], UNITS[name])
    return metrics


def _filter_files() -> tuple[Path, Path]:
    return path("moses", "filters_mcf"), path("moses", "filters_pains")
