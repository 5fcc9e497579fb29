"""Mixtures in real architectures: they compute at first what the model did, in training and evaluation."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.dynamic import MixtureConfig, MixtureLinear, make_dynamic
from sparsebench.models.dynamic.linear.config import Level
from sparsebench.models.dynamic.partitioning.candidates import Granularity
from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.scores import Criterion
from sparsebench.models.dynamic.partitioning.warm_up import WarmUp
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.statistics import aux_loss

from ...conftest import ENCODER, TEXT
from ...graphsgpt.model_cases import batch, small

PER_BLOCK = {"llama": 3, "qwen3": 3, "bert": 2, "roberta": 2, "vit": 2, "timm_vit": 2}


def mixtures(model: nn.Module) -> list[MixtureLinear]:
    return [module for module in model.modules() if isinstance(module, MixtureLinear)]


@pytest.mark.parametrize("family", PER_BLOCK)
def test_it_computes_what_the_model_did(
    family: str,
    build: Callable[[str], Any],
    example: Callable[[nn.Module], Tensor],
    run: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    model = build(family)
    batch = example(model)
    expected = run(model, batch)
    assert make_dynamic(model, MixtureConfig(num_kernels=3)) is model
    torch.testing.assert_close(run(model, batch), expected, atol=1e-5, rtol=1e-5)
    assert len(mixtures(model)) == 2 * PER_BLOCK[family]
    found = model.train()(batch)
    logits = found if isinstance(found, Tensor) else found.logits
    (logits.square().mean() + aux_loss(model)).backward()
    assert all(layer.bank.grad is not None and layer.bank.grad.any() for layer in mixtures(model))
    assert aux_loss(model) > 0


def test_mpnet(run: Callable[[nn.Module, Tensor], Tensor]) -> None:
    model = transformers.MPNetForSequenceClassification(transformers.MPNetConfig(**ENCODER, **TEXT)).eval()
    batch = torch.randint(3, 64, (2, 7))
    expected = run(model, batch)
    make_dynamic(model, MixtureConfig(level="sentence"))
    torch.testing.assert_close(run(model, batch), expected, atol=1e-5, rtol=1e-5)


def test_blocks_and_targets(build: Callable[[str], Any]) -> None:
    model = make_dynamic(build("llama"), MixtureConfig(blocks=(1,), targets=("down", "q", "o")))
    assert len(mixtures(model)) == 3
    block: Any = describe(model).blocks[1]
    assert isinstance(block.mlp.down.get(), MixtureLinear)
    assert isinstance(block.attention.q.get(), MixtureLinear)
    assert isinstance(block.attention.o.get(), MixtureLinear)
    assert type(block.attention.k.get()) is nn.Linear


def test_every_mixture_has_a_gate_of_its_own(build: Callable[[str], Any]) -> None:
    layers = mixtures(make_dynamic(build("llama"), MixtureConfig()))
    gates = [layer.router.weight for layer in layers if layer.in_features == 32]
    assert len(gates) == 4
    for one, other in itertools.pairwise(gates):
        assert not torch.equal(one, other)
    again = mixtures(make_dynamic(build("llama"), MixtureConfig()))
    assert all(torch.equal(one.router.weight, two.router.weight) for one, two in zip(layers, again, strict=True))


def padded(texts: Tensor, extra: int) -> dict[str, Tensor]:
    ids = torch.cat((texts, torch.zeros(len(texts), extra, dtype=torch.int64)), dim=1)
    mask = torch.ones_like(ids)
    mask[:, texts.shape[1] :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def test_checkpointed_blocks_recompute_with_their_masks(build: Callable[[str], Any]) -> None:
    model = make_dynamic(build("bert"), MixtureConfig(level="sentence", noise=0.5, gate_noise="none"))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    batch = padded(torch.randint(3, 64, (2, 5)), 3)
    gradients = []
    for checkpointed in (False, True):
        model.zero_grad()
        model.train()
        if checkpointed:
            model.activation_checkpointing_enable({"use_reentrant": False})
        (model(**batch).logits.square().sum() + aux_loss(model)).backward()
        banks: list[Any] = [layer.bank for layer in mixtures(model)]
        gradients.append([bank.grad.clone() for bank in banks])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_cached_decoding_is_that_of_the_whole_text(build: Callable[[str], Any]) -> None:
    model = make_dynamic(build("llama"), MixtureConfig(noise=0.5))
    ids = torch.randint(3, 64, (2, 7))
    with torch.no_grad():
        whole = model(ids).logits
        first = model(ids[:, :4], use_cache=True)
        rest = model(ids[:, 4:], cache=first.past_key_values).logits
    torch.testing.assert_close(whole[:, 4:], rest, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("level", ["token", "sentence"])
def test_molecules(level: Level) -> None:
    """GraphsGPT gives its blocks a mask of keys: a molecule in a batch is what it is alone."""
    model = small().encoder.double()
    molecules = ["CCO", "COc1ccccc1OC"]
    expected = model(batch(molecules))
    make_dynamic(model, MixtureConfig(level=level))
    assert len(mixtures(model)) >= 4
    torch.testing.assert_close(model(batch(molecules)), expected)
    for layer in mixtures(model):
        layer.bank.data += 0.1 * torch.randn(layer.bank.shape, dtype=torch.float64)
    alone = [model(batch([one])) for one in molecules]
    torch.testing.assert_close(model(batch(molecules)), torch.cat(alone))


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "sentences in a causal model": ("llama", {"level": "sentence"}, "tokens to come"),
    "no such block": ("bert", {"blocks": (5,)}, "blocks 0..1"),
    "no block": ("bert", {"blocks": ()}, "blocks"),
    "mixture of experts": ("mixtral", {}, "mixture of experts already"),
    "no such layer": ("bert", {"targets": ("gate",)}, "gate"),
    "convolutions": ("efficientnet", {}, "no linear layer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_the_model_as_it_was(case: str, build: Callable[[str], Any]) -> None:
    family, settings, said = REFUSED[case]
    model = build(family)
    before = repr(model)
    with pytest.raises(ModelError, match=said):
        make_dynamic(model, MixtureConfig(**settings))
    assert repr(model) == before


def test_dynamic_already_adapted_and_shared_layers_are_refused(build: Callable[[str], Any]) -> None:
    model = make_dynamic(build("bert"), MixtureConfig())
    with pytest.raises(ModelError, match="MixtureLinear already"):
        make_dynamic(model, MixtureConfig())
    model = build("bert")
    attach(model, LoRAConfig(targets=("up",)))
    with pytest.raises(ModelError, match="adapter"):
        make_dynamic(model, MixtureConfig())
    model = build("bert")
    layers = model.bert.encoder.layer
    layers[1].intermediate.dense.weight = layers[0].intermediate.dense.weight
    with pytest.raises(ModelError, match="several places"):
        make_dynamic(model, MixtureConfig())


def test_a_layer_whose_weight_the_model_reads_is_refused_and_comes_back() -> None:
    """T5 asks its output projection for the dtype of its weight."""
    config = transformers.T5Config(d_model=32, d_ff=50, d_kv=8, num_heads=4, num_layers=1, vocab_size=64)
    model = transformers.T5EncoderModel(config).eval()
    before = repr(model)
    with pytest.raises(ModelError, match="more of its linear layers than their output"):
        make_dynamic(model, MixtureConfig())
    assert repr(model) == before


def test_adapters_come_afterwards(
    build: Callable[[str], Any],
    example: Callable[[nn.Module], Tensor],
    run: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    model = build("bert")
    batch = example(model)
    expected = run(model, batch)
    make_dynamic(model, MixtureConfig())
    attach(model, LoRAConfig(targets=("q", "v")))
    torch.testing.assert_close(run(model, batch), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("experts", "full", "half", "less"), [(8, "506.2", "308.0", "228.7"), (16, "959.5", "534.8", "365.0")]
)
def test_parameters_of_published_networks(experts: int, full: str, half: str, less: str) -> None:
    """BERT-base, both linear layers of every FFN (the sheet's figures, which count no gate): all dynamic, and with
    shares of 0.5 and 0.3."""
    with torch.device("meta"):
        model = transformers.BertModel(transformers.BertConfig())
    make_dynamic(model, MixtureConfig(num_kernels=experts))
    gates = sum(parameter.numel() for layer in mixtures(model) for parameter in layer.router.parameters())
    banks = sum(layer.bank.numel() for layer in mixtures(model))
    rest = count_parameters(model).total - gates - banks
    found = []
    for ratio in (1.0, 0.5, 0.3):
        weights = banks // experts
        stored = round((1 - ratio) * weights) + experts * round(ratio * weights)
        found.append(f"{(rest + stored) / 1e6:.1f}")
    assert found == [full, half, less]


def loss_of(model: Any, batch: Tensor) -> Tensor:
    return model(batch).logits.square().mean()


@pytest.mark.parametrize("granularity", ["weight", "row", "channel"])
@pytest.mark.parametrize("criterion", ["switch", "remove", "magnitude", "grasp"])
def test_every_criterion_partitions_mixtures_and_the_deployed_form_computes_the_same(
    criterion: Criterion,
    granularity: Granularity,
    build: Callable[[str], Any],
    example: Callable[[nn.Module], Tensor],
    run: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    model = make_dynamic(build("bert").double(), MixtureConfig(num_kernels=3, noise=0.5, targets=("up",)))
    batch = example(model)
    options: dict[str, Any] = {"criterion": criterion, "granularity": granularity}
    report = partition(model, 0.5, batches=[batch], loss_fn=loss_of, generator=torch.Generator(), **options)
    assert report.dynamic_ratio == pytest.approx(0.5, abs=0.01)
    for layer in mixtures(model):
        assert layer.partition is not None
        layer.partition.phi.data.fill_(0.3)
    expected = run(model, batch)
    compact(model)
    torch.testing.assert_close(run(model, batch), expected)


def test_copies_tie_for_a_switch_of_mode_until_a_warm_up(
    build: Callable[[str], Any], example: Callable[[nn.Module], Tensor]
) -> None:
    """Static weight and experts are one pre-trained layer: the switch score is 0 everywhere (sheet, section 1.3)."""
    model = make_dynamic(build("bert"), MixtureConfig(num_kernels=3))
    options: dict[str, Any] = {"batches": [example(model)], "loss_fn": loss_of}
    with pytest.raises(ModelError, match="remove"):
        partition(model, 0.5, **options)
    partition(model, 0.5, warmup=WarmUp(steps=2), **options)
    assert sum(int(layer.partition.mask.sum()) for layer in mixtures(model) if layer.partition) > 0
