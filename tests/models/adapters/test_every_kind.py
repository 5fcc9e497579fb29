"""What holds for every kind of adapter on every family: it works as all do, or it is refused.

A new kind is found by itself; it needs an entry in EXAMPLES.
"""

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import sparsebench.models.adapters as room
from sparsebench.models.adapters import (
    AdapterSet,
    BinaryConfig,
    BottleneckConfig,
    CombinedConfig,
    ConvConfig,
    LoRAConfig,
    PrefixConfig,
    adapter_sets,
    attach,
)
from sparsebench.models.adapters.config import KINDS, AdapterConfig
from sparsebench.models.adapters.files.peft_lora import NamedLoRAConfig
from sparsebench.models.adapters.files.saving import load_adapters, save_adapters
from sparsebench.models.adapters.kinds.by_name import ByNameConfig
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.dora import DoRAConfig
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.fusion import FusionConfig
from sparsebench.models.adapters.kinds.gist_token import GistTokenConfig
from sparsebench.models.adapters.kinds.ia3 import IA3Config
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from sparsebench.models.adapters.kinds.prompts import PromptConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapterConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.adapters.kinds.vera import VeRAConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

Make = Callable[[str], nn.Module]
BASES = {"NamedConfig", "RankConfig", "TunedConfig"}
TEXT = ("llama", "mixtral", "bert", "roberta")
IMAGES = ("vit_4d", "timm_vit")
TRANSFORMERS = (*TEXT, *IMAGES)
ALL = (*TRANSFORMERS, "efficientnet")


class Example(NamedTuple):
    """A small configuration, or one made for a model, the families it works on, and sets to attach before it."""

    config: AdapterConfig | Callable[[nn.Module], AdapterConfig]
    families: tuple[str, ...]
    before: dict[str, AdapterConfig] = {}  # noqa: RUF012


def first_linears(model: nn.Module) -> NamedLoRAConfig:
    return NamedLoRAConfig(
        layers=tuple((block.linears[0].path, 2 + block.index % 2, 6.0) for block in describe(model).blocks)
    )


EXAMPLES: dict[str, Example] = {
    "BinaryConfig": Example(BinaryConfig(r=4), IMAGES),
    "BitFitConfig": Example(BitFitConfig(), ("bert", "roberta", *IMAGES, "efficientnet")),
    "BottleneckConfig": Example(BottleneckConfig(r=4, placement="houlsby", norm="in", scale="learned"), TRANSFORMERS),
    "ByNameConfig": Example(ByNameConfig(modules=("down_proj", "o_proj"), adapter=LoRAConfig(r=3)), ("llama",)),
    "CombinedConfig": Example(
        CombinedConfig(parts=(PrefixConfig(length=3), BottleneckConfig(r=4, placement="parallel"))), TRANSFORMERS
    ),
    "ConvConfig": Example(ConvConfig(r=4), ("efficientnet",)),
    "ConvpassConfig": Example(ConvpassConfig(r=4), IMAGES),
    "DoRAConfig": Example(DoRAConfig(modules=("down_proj", "q_proj"), r=3, alpha=5), ("llama",)),
    "FacTConfig": Example(FacTConfig(r=4), IMAGES),
    "FusionConfig": Example(
        FusionConfig(adapters=("one", "two")),
        TRANSFORMERS,
        {"one": BottleneckConfig(r=3), "two": BottleneckConfig(r=4)},
    ),
    "GistTokenConfig": Example(GistTokenConfig(), IMAGES),
    "IA3Config": Example(IA3Config(modules=(r"(k|v)_proj",), inputs=("down_proj",)), ("llama",)),
    "LoRAConfig": Example(LoRAConfig(r=3, targets=("linears",)), ALL),
    "NamedLoRAConfig": Example(first_linears, ALL),
    "NormTuningConfig": Example(NormTuningConfig(), ALL),
    "PrefixConfig": Example(PrefixConfig(length=3, bottleneck=5), TRANSFORMERS),
    "PromptConfig": Example(PromptConfig(length=3), IMAGES),
    "RepAdapterConfig": Example(RepAdapterConfig(r=4), ("llama", "bert", "roberta", *IMAGES)),
    "SSFConfig": Example(SSFConfig(experts=False), ALL),
    "StreamConfig": Example(StreamConfig(), IMAGES),
    "VeRAConfig": Example(VeRAConfig(modules=("down_proj", "q_proj"), r=3), ("llama",)),
}
VARIANTS: dict[str, Example] = {
    "LoRA on q and v": Example(LoRAConfig(r=4, alpha=8), ("llama", "bert", "timm_vit")),
    "sequential": Example(BottleneckConfig(r=6), ("llama", "bert", "timm_vit")),
    "parallel": Example(BottleneckConfig(r=6, placement="parallel", scale=4.0), ("mixtral", "bert", "timm_vit")),
    "pfeiffer": Example(BottleneckConfig(r=6, placement="pfeiffer"), ("llama", "bert", "timm_vit")),
    "bottlenecks by name": Example(
        ByNameConfig(modules=("mlp", "self_attn"), adapter=BottleneckConfig(r=4), width=32), ("llama",)
    ),
    "on the FFN": Example(StreamConfig(placement="ffn", activation="relu", scale=0.5), IMAGES),
    "a prefix around LoRA": Example(
        CombinedConfig(parts=(PrefixConfig(length=3), LoRAConfig(r=3))), ("llama", "bert", "timm_vit")
    ),
    "after the block": Example(StreamConfig(placement="after", scale="channel", bias=False), IMAGES),
}
"""More places of the kinds that have several."""
NOT_TRAINED = {"VeRAConfig": 2}
"""Tensors of a set that are saved and never train."""
CHANGE_AT_ONCE = {"BinaryConfig", "CombinedConfig", "FusionConfig", "GistTokenConfig", "PrefixConfig", "PromptConfig"}
CHANGE_AT_ONCE |= {"a prefix around LoRA"}
CASES = [(kind, family) for kind, example in (EXAMPLES | VARIANTS).items() for family in example.families]
REFUSED = [(kind, family) for kind, example in EXAMPLES.items() for family in ALL if family not in example.families]


def kinds() -> set[str]:
    """All kinds of the room, in files imported or not."""
    for info in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{info.name}")
    return {name for name, cls in KINDS.items() if cls.__module__.startswith(room.__name__)} - BASES


def prepared(kind: str, family: str, make: Make, shake: Callable) -> tuple[Any, AdapterConfig]:
    """A model with what the kind needs below it, and the configuration; the same at each call."""
    model, example = make(family), (EXAMPLES | VARIANTS)[kind]
    for name, config in example.before.items():
        shake(attach(model, config, name))
    return model, example.config(model) if callable(example.config) else example.config


def look(model: nn.Module) -> list[object]:
    """Names, types and modes of all modules, and names of all tensors."""
    return [*((name, type(module), module.training) for name, module in model.named_modules()), *model.state_dict()]


def trainable(model: nn.Module) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def train(model: nn.Module, adapters: AdapterSet, example: Callable) -> None:
    optimizer = torch.optim.AdamW(adapters.parameters(), lr=1e-2, weight_decay=0.1)
    model.train()
    for step in range(3):
        out = model(example(model, step))
        (out if isinstance(out, Tensor) else out.logits).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def test_every_kind_has_an_example() -> None:
    missing, gone = sorted(kinds() - EXAMPLES.keys()), sorted(EXAMPLES.keys() - kinds())
    assert not gone, f"remove {gone} from EXAMPLES: there is no such kind"
    assert not missing, (
        f"{missing}: add to EXAMPLES in {Path(__file__).name}, for each, its name with "
        "Example(a small configuration, the families it works on); or to BASES where others only inherit from it"
    )
    assert all(inspect.getdoc(KINDS[name]) for name in EXAMPLES)


def test_the_face_has_every_kind() -> None:
    assert kinds() - {"NamedLoRAConfig"} <= set(room.__all__), "what a file of PEFT is read as is the only one without"
    assert all(callable(getattr(room, name)) for name in room.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'load_nothing'"):
        room.load_nothing  # noqa: B018


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_training_moves_adapters_and_head_only(
    kind: str, family: str, make: Make, shake: Callable, example: Callable
) -> None:
    model, config = prepared(kind, family, make, shake)
    state = torch.random.get_rng_state()
    adapters = attach(model, config)
    assert torch.equal(torch.random.get_rng_state(), state), "attach draws from the global generator"
    shake(adapters)
    trained = {id(parameter) for parameter in adapters.parameters()}
    assert {id(p) for p in model.parameters() if p.requires_grad} == trained
    saved = len(adapters.state_dict()) - NOT_TRAINED.get(kind, 0)
    assert saved == len(trained), "every tensor of a set is trained, and saved"
    assert adapters.count(head=True) == sum(parameter.numel() for parameter in adapters.parameters())
    before = copy.deepcopy(model.state_dict())
    train(model, adapters, example)
    for key, value in model.state_dict(keep_vars=True).items():
        assert torch.equal(value, before[key]) != (id(value) in trained), key


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_disabling_and_removing(
    kind: str, family: str, make: Make, shake: Callable, example: Callable, run: Callable
) -> None:
    """No bit changes at the start, nor when they are off, nor once they are gone."""
    model, config = prepared(kind, family, make, shake)
    batch, before = example(model), run(model, example(model))
    next(iter(model.parameters())).requires_grad_(False)  # so that not all flags are the same
    looks, flags = look(model), trainable(model)
    adapters = attach(model, config)
    if kind not in CHANGE_AT_ONCE:
        assert torch.equal(run(model, batch), before)
    shake(adapters)
    acting = run(model, batch)
    assert not torch.equal(acting, before)
    adapters.disable()
    assert torch.equal(run(model, batch), before)
    adapters.enable()
    assert torch.equal(run(model, batch), acting)
    adapters.remove()
    assert torch.equal(run(model, batch), before) and look(model) == looks
    if not config.uses():  # which stay frozen
        assert trainable(model) == flags


@pytest.mark.parametrize(("kind", "family"), CASES)
def test_saving_copying_and_pickling(
    kind: str, family: str, make: Make, shake: Callable, example: Callable, run: Callable, tmp_path: Path
) -> None:
    model, config = prepared(kind, family, make, shake)
    adapters = attach(model, config, "mine")
    shake(adapters)
    train(model, adapters, example)
    batch, result = example(model), run(model, example(model))
    save_adapters(adapters, tmp_path)
    fresh, _ = prepared(kind, family, make, shake)
    loaded = load_adapters(fresh, tmp_path)
    assert loaded.config == config and loaded.name == "mine" and torch.equal(run(fresh, batch), result)
    copied = copy.deepcopy(model)
    pickled: AdapterSet = pickle.loads(pickle.dumps(adapters))
    shake(adapters)
    assert not torch.equal(run(model, batch), result)
    for other, own in ((copied, adapter_sets(copied)["mine"]), (pickled.model, pickled)):
        assert own.model is other and torch.equal(run(other, batch), result)
        own.remove()
        assert "mine" not in adapter_sets(other)


@pytest.mark.parametrize(("kind", "family"), REFUSED)
def test_other_families_are_refused_untouched(kind: str, family: str, make: Make) -> None:
    model = make(family)
    before, flags, example = look(model), trainable(model), EXAMPLES[kind]
    with pytest.raises(ModelError):
        for name, config in example.before.items():
            attach(model, config, name)
        attach(model, example.config(model) if callable(example.config) else example.config)
    assert look(model) == before and trainable(model) == flags
