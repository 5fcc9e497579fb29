from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig, NormTuningConfig, TunedConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig

Make = Callable[[str], nn.Module]
FAMILIES = ("timm_vit", "vit", "bert", "roberta", "qwen2", "efficientnet")


@pytest.mark.parametrize("config", [BitFitConfig(), NormTuningConfig()])
@pytest.mark.parametrize("family", [*FAMILIES, "efficientnet_b0"])
def test_model_with_other_parameters(
    config: TunedConfig, family: str, make: Make, shake: Callable, example: Callable, run: Callable
) -> None:
    """A copy of the model whose own parameters have the values of the copies gives the same."""
    model, plain = make(family), make(family)
    adapters = attach(model, config)
    shake(adapters)
    parameters = dict(plain.named_parameters())
    for place, layer in adapters.layers():
        for name, value in layer.tuned.items():
            parameters[f"{place}.{name}"].data.copy_(value)
    assert torch.equal(run(model, example(model)), run(plain, example(plain)))


@pytest.mark.parametrize("family", FAMILIES)
def test_all_biases_of_the_backbone(family: str, make: Make) -> None:
    """All but those of the head."""
    model = make(family)
    head = ("head", "classifier", "lm_head")
    names = {name for name, _ in model.named_parameters() if name.endswith("bias") and not name.startswith(head)}
    assert {f"{place}.bias" for place, _ in attach(model, BitFitConfig()).layers()} == names


@pytest.mark.parametrize(
    ("family", "count"), [("llama", 5), ("qwen3", 9), ("bert", 5), ("vit", 5), ("efficientnet", 49)]
)
def test_all_norms(family: str, count: int, make: Make) -> None:
    layers = list(attach(make(family), NormTuningConfig()).layers())
    assert len(layers) == count
    names = {"weight"} if family in ("llama", "qwen3") else {"weight", "bias"}
    assert all(set(layer.tuned) == names for _, layer in layers)


def test_last_blocks_and_final_norm(make: Make) -> None:
    places = [place for place, _ in attach(make("bert"), NormTuningConfig(blocks=1)).layers()]
    assert places == ["bert.encoder.layer.1.attention.output.LayerNorm", "bert.encoder.layer.1.output.LayerNorm"]


def test_nothing_to_tune(make: Make) -> None:
    with pytest.raises(ValueError, match="LlamaForCausalLM has no biases there: use NormTuningConfig"):
        attach(make("llama"), BitFitConfig())


def test_older_copies_count(make: Make, shake: Callable, example: Callable, run: Callable) -> None:
    """Two sets with the same biases: one of them acts, also when either is merged."""
    model = make("timm_vit")
    old, new = (attach(model, BitFitConfig(), name) for name in ("old", "new"))
    batch = example(model)
    shake(new, 0.2)
    newer = run(model, batch)
    shake(old)
    old.disable()
    only_new = run(model, batch)
    old.enable()
    new.disable()
    only_old = run(model, batch)
    new.enable()
    assert not torch.allclose(only_new, only_old, atol=1e-4) and not torch.equal(newer, only_new)
    assert torch.equal(run(model, batch), only_old)
    new.merge()
    assert torch.equal(run(model, batch), only_old)
    old.merge()
    assert torch.equal(run(model, batch), only_old)


def test_tuning_inside_ssf(make: Make, shake: Callable, example: Callable, run: Callable) -> None:
    """SSF scales and shifts what the newer norm tuning gives, merged or not."""
    model = make("efficientnet")
    sets = [attach(model, config, name) for config, name in ((SSFConfig(), "ssf"), (NormTuningConfig(), "norms"))]
    batch = example(model)
    seen = [run(model, batch)]
    for adapters in sets:
        shake(adapters)
        seen.append(run(model, batch))
    assert not torch.allclose(seen[0], seen[1], atol=1e-4) and not torch.allclose(seen[1], seen[2], atol=1e-4)
    for adapters in reversed(sets):
        adapters.merge()
        torch.testing.assert_close(run(model, batch), seen[2], atol=1e-5, rtol=1e-4)
