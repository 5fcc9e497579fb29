"""Masks, scores and outputs of SparseAdapter against what its official adapters and pruners computed."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, BottleneckConfig, attach, sparsify
from sparsebench.models.adapters.pruning.adapter_units import pairs
from sparsebench.models.adapters.pruning.faithful import faithful_scores
from sparsebench.models.sparsity.masked import Masked
from sparsebench.models.sparsity.scoring import Evidence

from ..agreement import agree
from .oracle import Oracle, rounding

ORACLE = Oracle("sparse_adapter.safetensors")
SETTINGS = ORACLE.about["config"]
FORWARD = rounding(products=34, terms=32)
"""Three layers of eleven products (projections, attention, FFN, adapter), and the head."""
SCORES = rounding(products=4 * 34, terms=32)
"""GraSP goes through the model forwards, backwards, and both ways again."""
PROJECTIONS = {"down_proj": "down", "up_proj": "up"}


class Case(NamedTuple):
    """How a mask was made, and its name in the file."""

    norm: str
    method: str
    scope: str
    density: float
    rounds: int
    name: str


def cases() -> list[Case]:
    found = []
    for name in ORACLE.about["cases"]:
        norm, method, scope, rest = name.split(".", 3)
        density, rounds = rest.removeprefix("density").split(".rounds")
        found.append(Case(norm, method, scope, float(density), int(rounds), name))
    return found


def rounds() -> list[tuple[Case, int]]:
    """Every round of every case."""
    found = []
    for case in CASES:
        found += [(case, number) for number in range(1, case.rounds + 1)]
    return found


CASES = cases()
ROUNDS = rounds()
SCORED = [pair for pair in ROUNDS if f"{pair[0].name}.round{pair[1]}.score.0.down_proj" in ORACLE]


def adapted(norm: str) -> AdapterSet:
    """The frozen base model with adapters of the recorded weights."""
    fields = {name: value for name, value in SETTINGS.items() if name not in ("bottleneck", "adapter_scalar")}
    del fields["activation"]
    config = transformers.LlamaConfig(**fields, attn_implementation="eager")
    model = transformers.LlamaForSequenceClassification(config).eval()
    model.load_state_dict(ORACLE.below("base."))
    adapters = attach(
        model,
        BottleneckConfig(
            r=SETTINGS["bottleneck"],
            placement="sequential",
            activation=SETTINGS["activation"],
            scale=SETTINGS["adapter_scalar"],
            norm="in" if norm == "ln" else "none",
        ),
    )
    with torch.no_grad():
        for index, (_, layer) in enumerate(adapters.layers()):
            fill(layer.adapter, ORACLE.below(f"adapters_{norm}.{index}."))
    model.eval()
    return adapters


def fill(adapter: Any, weights: dict[str, Tensor]) -> None:
    names = PROJECTIONS | {"adapter_layer_norm_before": "norm_in"}
    for official, own in names.items():
        if f"{official}.weight" in weights:
            module = getattr(adapter, own)
            module.weight.copy_(weights.pop(f"{official}.weight"))
            module.bias.copy_(weights.pop(f"{official}.bias"))
    assert not weights


def projections(adapters: AdapterSet) -> dict[str, Masked]:
    """By their names in the file, such as `0.down_proj`."""
    found = {}
    for index, (_, layer) in enumerate(adapters.layers()):
        for official, own in PROJECTIONS.items():
            found[f"{index}.{official}"] = getattr(layer.adapter, own)
    return found


def batches() -> list[dict[str, Tensor]]:
    names = ("input_ids", "labels")
    return [{name: ORACLE[f"data.{index}.{name}"] for name in names} for index in range(3)]


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch).loss


def sparse(case: Case, number: int) -> AdapterSet:
    """The set after round `number` of the case."""
    adapters = adapted(case.norm)
    sparsify(
        adapters,
        method=case.method,
        density=case.density ** (number / case.rounds),
        scope=case.scope,  # type: ignore[arg-type]
        rounds=number,
        batches=batches(),
        loss_fn=loss,
        faithful=True,
    )
    return adapters


@pytest.mark.parametrize("norm", ["ln", "plain"])
@torch.no_grad()
def test_before_pruning(norm: str) -> None:
    model = adapted(norm).model
    for index, batch in enumerate(batches()):
        out = model(**batch)
        agree(out.logits, ORACLE[f"{norm}.data{index}.logits"], "logits", within=FORWARD)
        agree(out.loss[None], ORACLE[f"{norm}.data{index}.loss"], "losses", within=FORWARD)


def test_masks(subtests: pytest.Subtests) -> None:
    """Every entry, after each round; after the last the outputs too."""
    for case, number in ROUNDS:
        with subtests.test(case=case, number=number):
            adapters = sparse(case, number)
            recorded = ORACLE.below(f"{case.name}.round{number}.mask.")
            found = {name: layer.mask for name, layer in projections(adapters).items()}
            assert found.keys() == recorded.keys()
            for name, mask in recorded.items():
                agree(found[name], mask.bool(), "masks", where=name)
            if number == case.rounds:
                with torch.no_grad():
                    logits = adapters.model(**batches()[0]).logits
                agree(logits, ORACLE[f"{case.name}.logits"], "logits", within=FORWARD)


def test_scores(subtests: pytest.Subtests) -> None:
    """Those of a round, given the recorded masks of the round before it, up to a factor that changes no rank."""
    for case, number in SCORED:
        with subtests.test(case=case, number=number):
            adapters = adapted(case.norm)
            layers = projections(adapters)
            evidence = Evidence(model=adapters.model, pairs=pairs(adapters), batches=batches(), loss_fn=loss)
            before = f"{case.name}.round{number - 1}.mask."
            masks = [
                ORACLE[before + name].float() if number > 1 else torch.ones(layer.shape)
                for name, layer in layers.items()
            ]
            found = faithful_scores(list(layers.values()), masks, evidence, case.method)
            recorded = [ORACLE[f"{case.name}.round{number}.score.{name}"] for name in layers]
            agree(over_the_greatest(found), over_the_greatest(recorded), "scores", within=SCORES)


def over_the_greatest(scores: list[Tensor]) -> Tensor:
    """The scores of all layers, flat, divided by the greatest absolute value."""
    flat = torch.cat([score.flatten() for score in scores])
    return flat / flat.abs().max()


def test_a_changed_weight_is_seen() -> None:
    """The largest weight that stays, made the smallest, goes."""
    case = next(case for case in CASES if case.name.startswith("ln.magnitude.global.density0.5"))
    adapters = adapted("ln")
    layer = projections(adapters)["0.down_proj"]
    place = layer.stored.detach().abs().argmax()
    with torch.no_grad():
        layer.stored.view(-1)[place] = 0
    sparsify(adapters, method="magnitude", density=case.density, faithful=True)
    recorded = ORACLE[f"{case.name}.round1.mask.0.down_proj"].flatten()
    assert recorded[place] == 1 and not layer.mask.flatten()[place]
