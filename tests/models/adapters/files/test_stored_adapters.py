"""Files that an earlier version wrote still load and give the outputs that they gave then; see stored/README.md."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, attach, load_adapters, save_adapters

from ...agreement import agree

STORED = Path(__file__).parent / "stored"
OUTPUTS = load_file(STORED / "outputs.safetensors")


def bert() -> nn.Module:
    config = transformers.BertConfig(
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=16,
        max_position_embeddings=8,
    )
    return transformers.BertForSequenceClassification(config)


def vit() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=8, depth=2, num_heads=2, num_classes=3)


def efficientnet() -> nn.Module:
    return timm.create_model("tf_efficientnet_lite0", num_classes=3)


MODELS: dict[str, Callable[[], nn.Module]] = {"bert": bert, "vit": vit, "efficientnet": efficientnet}


def filled(family: str) -> nn.Module:
    """A model whose weights no version of any library changes."""
    model = MODELS[family]().eval()
    fill(list(model.parameters()))
    return model


def fill(parameters: list[nn.Parameter]) -> None:
    for number, parameter in enumerate(parameters):
        waves = torch.arange(parameter.numel(), dtype=torch.float64).add(number).mul(0.7).sin()
        parameter.data.copy_(waves.view(parameter.shape) * 0.3)


def prepared(case: str) -> nn.Module:
    """The model to load a case into; a fusion needs the adapters that it fuses."""
    model = filled(case.partition("-")[0])
    if case == "bert-fusion":
        for name in ("one", "two"):
            fused = attach(model, BottleneckConfig(r=2, train_head=False), name)
            fill(fused.parameters())
    return model


def outputs(model: nn.Module) -> Tensor:
    with torch.no_grad():
        if isinstance(model, transformers.PreTrainedModel):
            return model(torch.tensor([[1, 5, 9, 2], [3, 3, 7, 11]])).logits
        pixels = torch.arange(2 * 3 * 32 * 32, dtype=torch.float64).mul(0.01).sin()
        return model(pixels.view(2, 3, 32, 32).float())


@pytest.mark.parametrize("case", sorted(OUTPUTS))
def test_stored_adapters_load_and_compute_the_same(case: str, tmp_path: Path) -> None:
    model = prepared(case)
    before = outputs(model)
    adapters = load_adapters(model, STORED / case)
    assert adapters.name == "stored"
    # float32 products of other processors round differently
    agree(outputs(model), OUTPUTS[case], "outputs", within=1e-4)
    assert not torch.allclose(OUTPUTS[case], before, rtol=5e-4), "the adapters act"

    save_adapters(adapters, tmp_path)
    again = prepared(case)
    load_adapters(again, tmp_path)
    agree(outputs(again), outputs(model), "outputs, saved again")
