"""Trainings on a mixture of data sets that are killed and go on, or change their number of processes.

    python -m tests.suites.llm.methods.mixed FOLDER

Writes FOLDER/found.json; run by `test_data_mixing_resume.py`. Processes are forked, so that torch is imported once.
"""

import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny, tiny_mixture
from sparsebench.suites.llm.methods.data_mixing import DataMixing
from sparsebench.suites.llm.tasks.synthetic.synthetic_mixture import SyntheticMixture
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.training.fingerprint import weights_digest

from ...training.forked import forget, ran
from .resumed import Killable, Watched


@dataclass(frozen=True, kw_only=True)
class Killed(Killable, DataMixing):
    """Data mixing that can be killed."""


def surroundings(folder: Path, size: int) -> Context:
    budget = Budget(steps=10, batch_size=size, calibration_examples=2)
    return Context(suite="llm", task="t", seed=0, folder=folder, budget=budget)


def trained(folder: Path, kind: str, size: int, accumulation: int, kill: int | None) -> dict[str, Any]:
    """Ten steps of four rows each, whoever shares them; weights move after steps 3, 6 and 9.

    Of the kinds, "v1" draws routing noise, "v2" and the stock mixture draw none. "v2" has no balance loss: that of a
    batch is no mean over its tokens, so that it depends on how the rows of a step are cut into batches.
    """
    load = tiny_mixture.load if kind == "stock" else tiny.load
    setup = SyntheticMixture().setup(load, surroundings(folder, size))
    model = setup.model
    if kind == "v1":
        model = LlamaMoEV1(preset="2of8", train="none").prepare(model, setup.context)
    elif kind == "v2":
        model = LlamaMoEV2(preset="8top2", train="none").prepare(model, setup.context)
    seen: list[list[str]] = []
    data = Watched(**{**vars(setup.data), "seen": (seen,)})
    forget(kill)
    method = Killed(
        kill=kill,
        accumulation=accumulation,
        learning_rate=0.01,
        interval=3,
        held_out_rows=2,
        eta=50.0,
        watch=True,
        balance=kind != "v2",
    )
    result = method.train_stage(method.prepare(model, setup.context), data, setup.context)
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {
        "digest": weights_digest(model),
        "weights": weights.tolist(),
        "curves": {name: points for name, points in result.curves.items() if name != "mixing overhead"},
        "seen": seen,
    }


def main(folder: Path) -> None:
    importlib.import_module("torch._dynamo")  # the optimizers import it at their first step: once, before the forks
    torch.set_num_threads(1)
    SyntheticMixture().setup(tiny.load, surroundings(folder, 2))  # so are the model and its tokenizer
    found: dict[str, Any] = {}

    def one(name: str, work: Any) -> None:
        (found[f"{name} code"],), gave = ran(work, folder, 1)
        if gave:
            (found[name],) = gave

    def pair(name: str, work: Any) -> None:
        found[f"{name} code"], found[name] = ran(work, folder, 2)

    for kind in ("v1", "stock"):
        place = folder / kind
        one(f"{kind} whole", lambda kind=kind, place=place: trained(place / "whole", kind, 4, 1, -1))
        one(f"{kind} killed", lambda kind=kind, place=place: trained(place / "parts", kind, 4, 1, 7))
        one(f"{kind} resumed", lambda kind=kind, place=place: trained(place / "parts", kind, 4, 1, None))
    one("one", lambda: trained(folder / "one", "v2", 4, 1, -1))
    pair("two", lambda: trained(folder / "two", "v2", 2, 1, -1))
    parts = folder / "two one two"
    pair("first", lambda: trained(parts, "v2", 2, 1, 3))
    one("second", lambda: trained(parts, "v2", 2, 2, 7))
    pair("third", lambda: trained(parts, "v2", 2, 1, None))
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
