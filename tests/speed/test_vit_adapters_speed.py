"""A training step of ViT-S/16 with LoRA beside HF PEFT's; attaching; a linear probe on cached features."""

import copy
import importlib.util
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.attention.fast_attention import use_product_attention
from sparsebench.models.precision import half_frozen

from .groups import Timed, Variant, of_model
from .rounds import CPU, WALL, Clock
from .scope import FULL, LONG

BATCH, CLASSES, RANK = 8, 100, 8
# PEFT has one pair over the fused qkv, ours one for q and one for v: as many parameters.
STEPS = {
    "peft, float32": "peer",
    "sparsebench, float32": "ours",
    "peft, autocast": "peer",
    "sparsebench, bfloat16": "ours",
    "sparsebench, bfloat16, last 6 blocks": "ours",
    "sparsebench, bfloat16, last 3 blocks": "ours",
}


def vit() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("vit_small_patch16_224", num_classes=CLASSES)


def bert() -> nn.Module:
    size = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    return BertForSequenceClassification(BertConfig(**size, vocab_size=1000))


def images() -> Tensor:
    return torch.randn(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def peft_lora(model: nn.Module, targets: list[str], head: str) -> nn.Module:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets, modules_to_save=[head])
    return peft.get_peft_model(model, config)


def adapted(name: str) -> nn.Module:
    model = vit()
    if name.startswith("peft"):
        return peft_lora(model, ["qkv"], "head")
    last = [int(word) for word in name.split() if word.isdigit()]
    attach(model, LoRAConfig(r=RANK, blocks=last[0] if last else "all"))
    if "bfloat16" in name:
        use_product_attention(half_frozen(model))
    return model


def step(model: nn.Module, x: Tensor, *, autocast: bool = False) -> Callable[[], float]:
    labels = torch.arange(BATCH) % CLASSES
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def run() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(model(x).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return run


@LONG
@pytest.mark.parametrize("name", STEPS)
def test_lora_step(name: str, compare: Callable[..., Timed]) -> None:
    """Forward, backward and AdamW, in train mode, on one thread."""
    time_step(name, compare, "one thread", 1, CPU)


@LONG
@pytest.mark.parametrize("name", STEPS)
def test_lora_step_on_two_threads(name: str, compare: Callable[..., Timed]) -> None:
    time_step(name, compare, "two threads", 2, WALL)


def time_step(name: str, compare: Callable[..., Timed], threads: str, count: int, clock: Clock) -> None:
    dtype = "float32" if "float32" in name else "bfloat16"
    alike = [other for other in STEPS if ("float32" in other) == ("float32" in name)]
    group = f"LoRA step of ViT-S/16, batch {BATCH}, {dtype}, {threads}"
    compare(name, alike, variant_of_step, group=group, count=count, clock=clock)


def variant_of_step(name: str) -> Variant:
    """A step whose first loss is that of the bare model."""
    if name.startswith("peft") and importlib.util.find_spec("peft") is None:
        pytest.skip("peft is not installed")
    x, model = images(), adapted(name).train()
    run = step(model, x, autocast="autocast" in name)
    with torch.no_grad():
        expected = F.cross_entropy(vit()(x), torch.arange(BATCH) % CLASSES).item()
    assert run() == pytest.approx(expected, rel=1e-4 if "float32" in name else 1e-2)
    return of_model(run, STEPS[name], model, x)


PROBES = {"cached features": "ours", "trunk each step": "reference"}


@pytest.mark.parametrize("name", PROBES if FULL else list(PROBES)[:1])
def test_linear_probe_step(name: str, compare: Callable[..., Timed]) -> None:
    """A head of a frozen ViT-S: with the trunk's features kept, and with the trunk run at each step."""
    group = f"Linear probe step on ViT-S/16, batch {BATCH}, float32"
    compare(name, PROBES if FULL else [name], probe, group=group)


def probe(name: str) -> Variant:
    x, model = images(), vit().requires_grad_(False)
    head = model.get_classifier().requires_grad_(True)
    with torch.no_grad():
        features = model.forward_head(model.forward_features(x), pre_logits=True)
    torch.testing.assert_close(head(features), model(x))
    trained, inputs = (head, features) if name == "cached features" else (model, x)
    return of_model(step(trained, inputs), PROBES[name], trained, inputs)


TARGETS = {"ViT-S/16": (vit, ["qkv"], "head"), "BERT, 6 layers of 384": (bert, ["query", "value"], "classifier")}
LIBRARIES = {"sparsebench": "ours", "peft": "peer"}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("backbone", TARGETS if FULL else list(TARGETS)[:1])
def test_attach(backbone: str, library: str, compare: Callable[..., Timed]) -> None:
    """Putting LoRA into a model; PEFT's own import and the copy of the model are not timed."""
    group = f"attach LoRA, {backbone}"
    compare(library, LIBRARIES, lambda library: attaching(backbone, library), group=group, rounds=15)


def attaching(backbone: str, library: str) -> Variant:
    build, targets, head = TARGETS[backbone]
    if library == "peft":
        pytest.importorskip("peft")
    model = build()
    bare: list[nn.Module] = []

    def put() -> nn.Module:
        if library == "sparsebench":
            attached = attach(bare.pop(), LoRAConfig(r=RANK)).model
        else:
            attached = peft_lora(bare.pop(), targets, head)
        return attached

    def copy_model() -> None:
        bare.append(copy.deepcopy(model))

    copy_model()
    assert 0 < sum(p.numel() for p in put().parameters() if p.requires_grad) < 200_000
    return Variant(call=put, role=LIBRARIES[library], before=copy_model)
