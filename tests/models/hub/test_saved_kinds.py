"""Every kind of model, and every two kinds on one model: saved and equal to the last bit, or refused for a reason."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, adapter_sets, attach, sparsify
from sparsebench.models.anatomy import describe
from sparsebench.models.compression import Grid, PruningConfig, QuantiseConfig, prune, quantise
from sparsebench.models.dynamic import MixtureConfig, compact, make_dynamic, partition
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, Vocabulary
from sparsebench.models.hub.comparison import few_rows
from sparsebench.models.moe import MoEConfig, convert

from ..agreement import agree

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
HEADS: dict[str, Any] = {"num_attention_heads": 4, "vocab_size": 64}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, **HEADS)),
    "bert": lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES, **HEADS)),
    "timm_vit": lambda: timm.create_model("test_vit", num_classes=3),
    "graphsgpt": lambda: GraphsGPT(GraphsGPTConfig.of(Vocabulary.improved([(6, 0), (8, 0)]), **SIZES, num_words=2)),
}


def ffns_of(model: nn.Module) -> tuple[Any, ...]:
    mixtures = any(block.mlp is not None and block.mlp.experts is not None for block in describe(model).blocks)
    return ("experts",) if mixtures else ("ffn",)


def converted(model: nn.Module) -> None:
    convert(model, MoEConfig(num_experts=4, router="mlp"))


def trimmed(model: nn.Module) -> None:
    describe(model).blocks[1].remove_attention()


def pruned(model: nn.Module) -> None:
    prune(model, PruningConfig(method="magnitude", parts=ffns_of(model)))


def quantised(model: nn.Module) -> None:
    config = QuantiseConfig(method="rtn", grid=Grid(bits=4, group_size=16, symmetric=False), parts=ffns_of(model))
    quantise(model, config)


def dynamic(model: nn.Module) -> None:
    make_dynamic(model, MixtureConfig(num_kernels=3, top_k=2, targets=("o",)))


def partitioned(model: nn.Module) -> None:
    dynamic(model)
    partition(model, 0.4, criterion="random", generator=torch.Generator().manual_seed(1))


def compacted(model: nn.Module) -> None:
    partitioned(model)
    compact(model)


def adapted(model: nn.Module) -> None:
    attach(model, LoRAConfig(r=4))


def sparse_adapted(model: nn.Module) -> None:
    sparsify(attach(model, LoRAConfig(r=4, init="normal"), "sparse"), method="magnitude", sparsity=0.5)


Kind = Callable[[nn.Module], None]
KINDS = (converted, trimmed, pruned, dynamic, partitioned, compacted, quantised, adapted, sparse_adapted)
DYNAMIC = (dynamic, partitioned, compacted)
IN_ORDER = {(one, other): "is a MixtureLinear already" for one in DYNAMIC for other in DYNAMIC}
"""Pairs, in the order of `KINDS`, that no model can have, and why."""
TURNED = IN_ORDER | {(quantised, pruned): "is quantised: prune before that"}
"""Likewise in the other order."""


@torch.no_grad()
def trained(model: nn.Module) -> Any:
    """With other values everywhere, as after training: what started at zero acts."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter and parameter.dim():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@torch.no_grad()
def outputs(model: Any, batch: Any) -> Tensor:
    found = model(batch) if isinstance(batch, Tensor) else model(**batch)
    return found if isinstance(found, Tensor) else found[0]


def check_comes_back(model: Any, folder: Path) -> Any:
    save(model, folder)
    again = load(folder)
    batch = few_rows(model)
    assert type(again) is type(model) and not again.training
    agree(outputs(again, batch), outputs(model, batch), "outputs")
    state = model.state_dict()
    assert again.state_dict().keys() == state.keys()
    for name, value in again.named_parameters():
        trains = model.get_parameter(name).requires_grad
        assert value.requires_grad == trains or (value.requires_grad and not adapter_sets(model)), name
    return again


def check_both(base: nn.Module, one: Kind, other: Kind, refused: dict[tuple[Kind, Kind], str], folder: Path) -> None:
    """Of a pair that no model can have, the first alone."""
    model = copy.deepcopy(base)
    one(model)
    if one is not other and (one, other) in refused:
        with pytest.raises(ModelError, match=refused[one, other]):
            other(model)
    elif one is not other:
        other(model)
    check_comes_back(trained(model), folder / f"{one.__name__}_{other.__name__}")


@pytest.mark.parametrize("name", MODELS)
def test_two_kinds_on_one_model(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = MODELS[name]().eval()
    check_comes_back(base, tmp_path / "dense")
    for place, one in enumerate(KINDS):
        for other in KINDS[place:]:
            with subtests.test(kinds=f"{one.__name__}, {other.__name__}"):
                check_both(base, one, other, IN_ORDER, tmp_path)


def test_kinds_in_the_other_order(tmp_path: Path, subtests: pytest.Subtests) -> None:
    base = MODELS["llama"]().eval()
    for place, one in enumerate(KINDS):
        for other in KINDS[:place]:
            with subtests.test(kinds=f"{one.__name__}, {other.__name__}"):
                check_both(base, one, other, TURNED, tmp_path)


def test_a_whole_chain(tmp_path: Path) -> None:
    """Converted, trimmed, pruned, PAD-Net compact, quantised and adapted twice; adapters come off as they went on."""
    model = MODELS["llama"]()
    for kind in (converted, trimmed, pruned, compacted, quantised, adapted, sparse_adapted):
        kind(model)
    adapter_sets(model)["default"].disable()
    again = check_comes_back(trained(model), tmp_path / "model")
    for each in (model, again):
        for adapters in reversed(adapter_sets(each).values()):
            adapters.remove()
    batch = few_rows(model)
    assert torch.equal(outputs(again, batch), outputs(model, batch))
    assert {name for name, value in again.named_parameters() if value.requires_grad} == {
        name for name, value in model.named_parameters() if value.requires_grad
    }
