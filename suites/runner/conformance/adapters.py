"""The conformance battery of kinds of adapters, on the first of three tiny models that a kind has a place in."""

import copy
import dataclasses
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import (
    AdapterConfig,
    AdapterSet,
    BottleneckConfig,
    LoRAConfig,
    PrefixConfig,
    attach,
    load_adapters,
    save_adapters,
)
from sparsebench.models.adapters.config import KINDS
from sparsebench.models.adapters.files.saving import FURTHER
from sparsebench.models.adapters.named import NamedConfig
from sparsebench.models.errors import ModelError

from .methods import NonconformingError, require
from .parts import batch, llama

OPTIONS: dict[str, dict[str, Any]] = {
    "ByNameConfig": {"modules": ("down_proj",), "adapter": LoRAConfig(r=2)},
    "CombinedConfig": {"parts": (PrefixConfig(length=2), LoRAConfig(r=2))},
    "FusionConfig": {"adapters": ("one", "two")},
    "NamedLoRAConfig": {"layers": (("model.layers.0.mlp.down_proj", 2, 4.0),)},
}
"""What a kind has to be told, where it has to be told something but where to go."""
BEFORE: dict[str, dict[str, AdapterConfig]] = {
    "FusionConfig": {"one": BottleneckConfig(r=2), "two": BottleneckConfig(r=3)},
}
"""Sets below those of a kind that is built on others."""


def _network(name: str, **sizes: Any) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return timm.create_model(name, num_classes=3, **sizes).eval()


def vit() -> nn.Module:
    """A vision transformer of two blocks, the same each time."""
    return _network("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=4)


def cnn() -> nn.Module:
    """A small MobileNet, the same each time."""
    return _network("mobilenetv3_small_050")


MODELS: tuple[Callable[[], Any], ...] = (llama, vit, cnn)


def forward(model: Any) -> Tensor:
    """Logits of inputs that are the same each time."""
    if hasattr(model, "lm_head"):
        return model(batch()["input_ids"]).logits
    like = next(model.parameters())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return model(images.to(like.dtype))


@torch.no_grad()
def outputs(model: Any) -> Tensor:
    """The same, of a model that does not train."""
    return forward(model.eval())


class Adapted(NamedTuple):
    """A model with a set of a kind that acts."""

    model: Any
    adapters: AdapterSet


def config_of(name: str) -> AdapterConfig:
    """A small configuration of a kind. Raises `NonconformingError` for one that has to be told more than its place."""
    kind = KINDS.get(name) or FURTHER.get(name)
    options = OPTIONS.get(name, {"modules": ("down_proj",)} if issubclass(kind, NamedConfig) else {})
    needed = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    unknown = sorted(set(needed) - options.keys())
    require(not unknown, f"{name}() cannot be made: give {', '.join(unknown)} a default")
    return kind(**options)


def below(name: str, dtype: torch.dtype = torch.float32) -> Any:
    """The first model that has a place for the kind, with the sets that it is built on."""
    refusals: list[str] = []
    for make in MODELS:
        try:
            attach(_prepared(make, name, dtype), config_of(name))
        except ModelError as error:
            refusals.append(str(error))
        else:
            return _prepared(make, name, dtype)
    raise NonconformingError(f"it goes on none of a Llama, a ViT and a MobileNet: {'; '.join(refusals)}")


def _prepared(make: Callable[[], Any], name: str, dtype: torch.dtype) -> Any:
    model = make().to(dtype)
    for number, (other, config) in enumerate(BEFORE.get(name, {}).items()):
        _shake(attach(model, config, other), seed=number)
    return model


def _shake(adapters: AdapterSet, seed: int = 9) -> None:
    """Noise on all parameters but the head's: many kinds start as no change."""
    generator = torch.Generator().manual_seed(seed)
    for _, layer in adapters.layers():
        for _, parameter in layer.adapter_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.add_(noise.to(parameter.dtype), alpha=0.1)


def adapted(name: str, dtype: torch.dtype = torch.float32) -> Adapted:
    """A model with adapters that change what it computes."""
    model = below(name, dtype)
    before = outputs(model)
    adapters = attach(model, config_of(name))
    _shake(adapters)
    require(not torch.equal(outputs(model), before), "whatever its parameters are, it changes nothing")
    return Adapted(model, adapters)


def removal(name: str) -> None:
    """Switched off or removed, it leaves every bit of the model as it was; the global generator is not drawn from."""
    model = below(name)
    expected = outputs(model)
    state = copy.deepcopy(model.state_dict())
    drawn = torch.random.get_rng_state()
    adapters = attach(model, config_of(name))
    require(torch.equal(torch.random.get_rng_state(), drawn), "it draws from the global generator: use that of `place`")
    _shake(adapters)
    adapters.disable()
    require(torch.equal(outputs(model), expected), "switched off, it changes outputs")
    adapters.enable()
    adapters.remove()
    require(torch.equal(outputs(model), expected), "outputs differ after it was removed")
    left = model.state_dict()
    require(left.keys() == state.keys(), f"it leaves other tensors: {sorted(left.keys() ^ state.keys())}")
    changed = [key for key, value in left.items() if not torch.equal(value, state[key])]
    require(not changed, f"it leaves {', '.join(changed)} changed")


def saving(name: str) -> None:
    """Saved and loaded into a fresh model, or copied with its model, it computes the same bits."""
    model, adapters = adapted(name)
    expected = outputs(model)
    with tempfile.TemporaryDirectory() as folder:
        save_adapters(adapters, folder)
        fresh = below(name)
        load_adapters(fresh, folder)
    require(torch.equal(outputs(fresh), expected), "outputs differ after saving and loading")
    require(torch.equal(outputs(copy.deepcopy(model)), expected), "a deep copy gives other outputs")


def merging(name: str) -> str | None:
    """Merged, it computes the same, and `unmerge` gives all bits back; or it says why it does not merge."""
    model, adapters = adapted(name, torch.float64)
    acting = outputs(model)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    try:
        adapters.merge()
    except ModelError as error:
        require(torch.equal(outputs(model), acting), "it refused to merge, but the model has changed")
        return f"does not merge: {error}"
    # Sums of some hundred products in float64, in another order, over two layers.
    same = torch.allclose(outputs(model), acting, rtol=1e-9, atol=1e-9)
    require(same, "merged, it computes something else")
    adapters.unmerge()
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, state[key])]
    require(not changed, f"unmerge leaves {', '.join(changed)} changed")
    return None


def gradients(name: str) -> None:
    """Its own parameters and the heads get finite gradients, nothing else does; a step changes nothing else."""
    model, adapters = adapted(name)
    own = {id(parameter) for parameter in adapters.parameters()}
    before = copy.deepcopy(model.state_dict())
    forward(model.train()).square().mean().backward()
    for place, parameter in model.named_parameters():
        has = parameter.grad is not None
        require(has == (id(parameter) in own), f"{place}: its own {id(parameter) in own}, gradient {has}")
        require(not has or bool(torch.isfinite(parameter.grad).all()), f"the gradient of {place} is not finite")
    torch.optim.SGD(adapters.parameters(), lr=1e-2).step()
    for key, value in model.state_dict(keep_vars=True).items():
        require(id(value) in own or torch.equal(value, before[key]), f"{key} is not its own, but training changed it")


def bfloat16(name: str) -> None:
    """On a model in bfloat16 it acts and trains, with finite outputs and gradients."""
    model, adapters = adapted(name, torch.bfloat16)
    out = forward(model.train())
    require(bool(torch.isfinite(out).all()), "outputs in bfloat16 are not finite")
    out.float().square().mean().backward()
    finite = all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in adapters.parameters())
    require(finite, "a gradient in bfloat16 is not finite")


BATTERY: tuple[Callable[[str], str | None], ...] = (removal, saving, merging, gradients, bfloat16)
