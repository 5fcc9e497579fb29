"""New molecules into a table, with what was wanted of them and what they have."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import DecodingConfig
from sparsebench.models.graphsgpt.conditioning import RequestWarning, notes_on_request
from sparsebench.models.graphsgpt.decoding.config import SAMPLED

from .common import Progress, Summary, pipeline_of
from .outputs import check_new, csv_rows

COLUMNS = ("row", "smiles", "status", "reason", "log_prob", "repaired", "draws", *PROPERTIES)


def generate_file(
    n: int,
    out: Path,
    *,
    seed: int = 0,
    temperature: float = SAMPLED.temperature,
    repair: bool = False,
    wanted: Mapping[str, float] | None = None,
    scaffold: str | None = None,
    model: Path | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> tuple[Summary, list[str]]:
    """Write `out`: `n` new molecules, a row each: status, log-likelihood, repaired edges, draws, four properties.

    The properties are those that RDKit computes (`sparsebench.data.molecules.properties`), so that they can be compared
    with what was wanted. The same seed and batch size give the same molecules on the same machine.

    Args:
        n: how many.
        out: a new .csv file.
        seed: of the drawing.
        temperature: how freely; 0 takes the most likely edge each time.
        repair: replace an edge that is not allowed at once, instead of drawing the molecule again.
        wanted: values by property; they steer and do not force.
        scaffold: SMILES from which every molecule grows.
        model: folder of a GraphsGPT; None is the packaged one.
        batch_size: molecules at once.
        progress: is told how many are done.

    Returns:
        What became of the rows, and notes on what the model cannot follow well.

    Raises:
        ModelError: a value or scaffold that cannot be used, another file in the place, a model that takes no requests.
    """
    check_new(out, ".csv")
    wanted = dict(wanted or {})
    if n < 1 or not (math.isfinite(temperature) and temperature >= 0):
        raise ModelError(f"n={n} must be 1 or more, and temperature={temperature} finite and 0 or more")
    pipeline = pipeline_of(model, batch_size)
    redraws = SAMPLED.redraws if temperature and not repair else 0
    config = DecodingConfig(temperature=temperature, redraws=redraws)
    generator = torch.Generator(pipeline.model.device).manual_seed(seed)
    notes = notes_on_request(pipeline.model, scaffold, wanted)
    summary = Summary()
    done = 0
    with csv_rows(out, COLUMNS) as writer, warnings.catch_warnings():
        warnings.simplefilter("ignore", RequestWarning)  # said once, in the notes
        while done < n:
            count = min(batch_size, n - done)
            made = pipeline.generate(count, scaffold=scaffold, properties=wanted, config=config, generator=generator)
            for one in made:
                done += 1
                smiles = one.smiles or ""
                summary.add(done, smiles, one.status, one.reason)
                row = {"row": done, "smiles": smiles, "status": one.status, "reason": one.reason}
                row |= {"log_prob": f"{one.log_prob:.6g}", "repaired": one.repaired, "draws": one.draws}
                measured = zip(PROPERTIES, properties(smiles).tolist(), strict=True)
                writer.writerow(row | {name: "" if math.isnan(value) else f"{value:.6g}" for name, value in measured})
            if progress is not None:
                progress(done)
    return summary, notes


def read_wanted(given: Sequence[str]) -> dict[str, float]:
    """Wanted properties from texts such as "logp=2.5".

    Args:
        given: a text for each property.

    Returns:
        Values by name.

    Raises:
        ModelError: no such form, a property twice, or no finite number.
    """
    found: dict[str, float] = {}
    for text in given:
        name, sign, number = text.partition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (name and sign) or not math.isfinite(value):
            raise ModelError(f"--property {text!r} must be as logp=2.5, with a finite number")
        if name in found:
            raise ModelError(f"--property {name!r} is given twice")
        found[name] = value
    return found
