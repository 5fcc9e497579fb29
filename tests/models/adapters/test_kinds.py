"""Kinds for the whole model and for images: second set, merging, compilation; their start: `test_every_kind.py`."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from sparsebench.models.adapters.kinds.prompts import PromptConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapterConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig

Make = Callable[[str], nn.Module]
VITS = ("timm_vit", "vit_4d", "no_class_token", "registers", "layer_scale")
TEXT = ("bert", "roberta")
KINDS: dict[str, tuple[AdapterConfig, tuple[str, ...]]] = {
    "ssf": (SSFConfig(), (*VITS, *TEXT, "llama", "efficientnet", "efficientnet_b0")),
    "bitfit": (BitFitConfig(), (*VITS, *TEXT, "efficientnet", "efficientnet_b0")),
    "norms": (NormTuningConfig(), (*VITS, *TEXT, "llama", "qwen3", "efficientnet")),
    "shallow": (PromptConfig(length=3, depth="shallow"), VITS),
    "deep": (PromptConfig(length=3), VITS),
    "convpass": (ConvpassConfig(r=4), VITS),
    "shared": (StreamConfig(), VITS),
    "ffn": (StreamConfig(placement="ffn", activation="relu", scale=0.5), VITS),
    "after": (StreamConfig(placement="after", scale="channel", bias=False), VITS),
    "rep_adapter": (RepAdapterConfig(r=4), (*VITS, *TEXT, "llama")),
    "fact": (FacTConfig(r=4), VITS),
}
CASES = [(kind, family) for kind, (_, families) in KINDS.items() for family in families]
LINEAR = ("ssf", "bitfit", "norms", "rep_adapter", "fact")


def values(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("kind", "family"), [(kind, "timm_vit") for kind in KINDS] + [("ssf", "efficientnet"), ("bitfit", "efficientnet")]
)
def test_compiles_to_one_graph(kind: str, family: str, make: Make, shake: Callable, example: Callable) -> None:
    torch.compiler.reset()
    model = make(family)
    batch = example(model)
    shake(attach(model, KINDS[kind][0]))
    part = model if family == "timm_vit" else nn.Sequential(model.conv_stem, model.bn1, model.blocks[0])
    compiled = torch.compile(part, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(batch), part(batch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_two_sets(
    kind: str, make: Make, shake: Callable, example: Callable, run: Callable, subtests: pytest.Subtests
) -> None:
    """Beside LoRA on all linear layers each set can be switched, and both learn."""
    for family in KINDS[kind][1]:
        for order in ("lora first", "lora second"):
            if "efficientnet" not in family:
                with subtests.test(family=family, order=order):
                    check_two_sets(order, kind, family, make, shake, example, run)


def check_two_sets(
    order: str, kind: str, family: str, make: Make, shake: Callable, example: Callable, run: Callable
) -> None:
    model = make(family)
    batch, lora = example(model), LoRAConfig(r=2, targets=("linears",), init="normal")
    configs = [lora, KINDS[kind][0]] if order == "lora first" else [KINDS[kind][0], lora]
    sets = [attach(model, config, name) for config, name in zip(configs, ("old", "new"), strict=True)]
    for adapters in sets:
        shake(adapters)
    both = run(model, batch)
    alone = []
    for config, adapters, other in zip(configs, sets, reversed(sets), strict=True):
        other.disable()
        alone.append(run(model, batch))
        other.enable()
        single = make(family)
        attach(single, config).load_state_dict(adapters.state_dict())
        torch.testing.assert_close(alone[-1], run(single, batch), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(both, alone[0], rtol=1e-4, atol=1e-6) and not torch.allclose(
        both, alone[1], rtol=1e-4, atol=1e-6
    )
    model.train()
    result = model(batch)
    (result if isinstance(result, Tensor) else result.logits).square().mean().backward()
    assert all(parameter.grad is not None for adapters in sets for parameter in adapters.parameters())


@pytest.mark.parametrize(("kind", "family"), [case for case in CASES if case[0] in LINEAR])
def test_merge(kind: str, family: str, make: Make, shake: Callable, example: Callable, run: Callable) -> None:
    model = make(family)
    before, batch = values(model), example(model)
    adapters = attach(model, KINDS[kind][0])
    shake(adapters)
    head = {key: value for key, value in adapters.state_dict().items() if key in before}
    adapted = run(model, batch)
    adapters.merge()
    assert not any("base" in name for name, _ in model.named_modules())
    torch.testing.assert_close(run(model, batch), adapted, atol=1e-5, rtol=1e-5)
    adapters.unmerge()
    assert torch.equal(run(model, batch), adapted)
    adapters.remove()
    after = values(model)
    assert list(after) == list(before) and all(
        torch.equal(after[key], before[key]) for key in before if key not in head
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LINEAR])
def test_merge_is_refused(kind: str, make: Make) -> None:
    model = make("timm_vit")
    adapters = attach(model, KINDS[kind][0])
    with pytest.raises(ValueError, match="is not linear in its input and cannot be merged"):
        adapters.merge()


@pytest.mark.parametrize("kind", KINDS)
def test_masters_beside_a_bfloat16_base(kind: str, make: Make, example: Callable, run: Callable) -> None:
    model = make("timm_vit").bfloat16()
    adapters = attach(model, KINDS[kind][0])
    own = [parameter for _, layer in adapters.layers() for _, parameter in layer.adapter_parameters()]
    assert {parameter.dtype for parameter in own} == {torch.float32}
    assert run(model, example(model)).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", KINDS)
def test_last_blocks_only(kind: str, make: Make) -> None:
    model = make("timm_vit")
    places = [place for place, _ in attach(model, type(KINDS[kind][0])(blocks=1)).layers()]
    assert places and all(place.startswith("blocks.1") or place == "norm" for place in places)
