"""The body of MPNet: that of transformers, whatever the padding; every kind of method works on it or says why not."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.anatomy import describe
from sparsebench.models.dynamic import dynamic_layers
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.llm.backbones.tiny_encoder import tokenize
from sparsebench.suites.llm.encoders.bert import LENGTH
from sparsebench.suites.llm.encoders.mpnet import MPNetBody
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.tasks.synthetic.synthetic_texts import SyntheticTexts
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.prefix_tuning import PrefixTuning
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.dynamic.dynamic_linear import DynamicLinear
from sparsebench.suites.methods.dynamic.pad_net import PadNet
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.prediction.frozen_features import frozen_stages

from .text_bodies import TEXTS, check_stages, check_training_and_copies


def load(generator: torch.Generator) -> MPNetBody:
    """Three blocks, width 32, bytes as tokens, random weights."""
    from transformers import MPNetConfig, MPNetModel

    config = MPNetConfig(
        vocab_size=len(byte_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=LENGTH + 2,
    )
    network = MPNetModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2, generator=generator)
    return MPNetBody(network.eval(), tokenize)


@pytest.fixture
def body() -> MPNetBody:
    return load(torch.Generator().manual_seed(0))


@torch.no_grad()
def slow_features(body: MPNetBody, text) -> Tensor:
    """One text by itself through transformers, mean over its tokens."""
    parts = (text,) if isinstance(text, str) else text
    inputs = byte_tokenizer()(*parts, truncation=True, max_length=LENGTH, return_tensors="pt")
    return body.network(input_ids=inputs["input_ids"]).last_hidden_state[0].mean(0)


@torch.no_grad()
def test_features_of_a_batch_are_those_of_each_text_alone(body: MPNetBody) -> None:
    batch = body.collate(body.encode(TEXTS))
    features = body(batch)
    expected = torch.stack([slow_features(body, text) for text in TEXTS])
    assert features.shape == (4, 32)
    assert torch.allclose(features, expected, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0.1  # the comparison can fail
    body.network.encoder.relative_attention_bias.weight.zero_()
    assert (body(batch) - features).abs().max() > 0.01  # the bias counts


def test_stages_are_the_forward_pass_and_can_be_taken_apart_anywhere(body: MPNetBody) -> None:
    check_stages(body)


def test_what_all_blocks_share_ends_the_frozen_stages(body: MPNetBody) -> None:
    batch = body.collate(body.encode(TEXTS))
    body.requires_grad_(False)
    body.network.encoder.layer[1].requires_grad_(True)
    assert frozen_stages(body, batch)[0] == 2  # the embeddings and the first block
    body.network.encoder.relative_attention_bias.requires_grad_(True)
    assert frozen_stages(body, batch)[0] == 1


def test_training_has_no_dropout_and_copies_share_the_tokenizer(body: MPNetBody) -> None:
    check_training_and_copies(body)


def test_anatomy_is_that_of_the_network(body: MPNetBody) -> None:
    anatomy = describe(body)
    assert anatomy.model is body and len(anatomy.blocks) == 3 and anatomy.width == 32
    assert anatomy.blocks[0].mlp is not None and anatomy.blocks[0].mlp.hidden == 64


def surroundings(dtype: torch.dtype = torch.float32) -> Context:
    budget = Budget(epochs=8, batch_size=16, calibration_examples=32)
    return Context(suite="llm", task="synthetic_texts", seed=0, budget=budget, dtype=dtype)


PARTIAL = [DynamicLinear(blocks=2, train="none"), PadNet(ratio=0.3, warmup_steps=3, learning_rate=3e-3)]
CHAINS: list[list[Any]] = [
    [FullTuning(learning_rate=3e-3)],
    [DynamicLinear(blocks=2, learning_rate=3e-3)],
    PARTIAL,
    [Adapter(rank=4, learning_rate=1e-2)],
    [LoRA(rank=4, learning_rate=1e-2)],
    [SharedSplit(learning_rate=1e-2)],
]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "+".join(type(method).__name__ for method in chain))
def test_methods_learn(chain: Sequence[Method]) -> None:
    outcome = SyntheticTexts().run(chain, load, surroundings())
    assert outcome.metrics["accuracy"].value > 0.5  # a chance of 0.25
    assert outcome.costs is not None and outcome.costs.flops


def test_a_partition_leaves_the_share_that_was_asked_for() -> None:
    setup = SyntheticTexts().setup(load, surroundings())
    model = setup.model
    for method in PARTIAL:
        model = method.prepare(model, setup.context)
    masks = []
    for layer in dynamic_layers(model).values():
        assert layer.partition is not None
        masks.append(layer.partition.mask.flatten())
    assert len(masks) == 4  # two linear layers in each of two FFNs
    assert torch.cat(masks).double().mean().item() == pytest.approx(0.3, abs=1e-3)


def test_training_in_bfloat16_learns_too() -> None:
    outcome = SyntheticTexts().run([FullTuning(learning_rate=3e-3)], load, surroundings(torch.bfloat16))
    assert outcome.metrics["accuracy"].value > 0.5


def test_a_prefix_is_refused_with_the_reason() -> None:
    setup = SyntheticTexts().setup(load, surroundings())
    with pytest.raises(NotApplicable, match="prefix"):
        PrefixTuning(bottleneck=None).prepare(setup.model, setup.context)


@pytest.mark.data
@torch.no_grad()
def test_mpnet_base_gives_the_vectors_of_transformers_and_knows_what_is_alike() -> None:
    from transformers import AutoTokenizer, MPNetModel

    from sparsebench.suites.llm.backbones import mpnet_base

    body = mpnet_base.load(torch.Generator())
    assert sum(parameter.numel() for parameter in body.parameters()) == 108_895_872
    texts = ["A man is eating food.", "Someone has a meal.", "The stock market fell sharply today."]
    features = body(body.collate(body.encode(texts)))
    model = MPNetModel.from_pretrained(mpnet_base._folder())
    inputs = AutoTokenizer.from_pretrained(mpnet_base._folder())(texts, padding=True, return_tensors="pt")
    hidden = model.eval()(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    assert torch.allclose(features, (hidden * mask).sum(1) / mask.sum(1), atol=1e-4)
    alike = torch.nn.functional.cosine_similarity(features[:1], features[1:])
    assert alike[0] > 0.5 > 0.2 > alike[1]


def test_mpnet_base_takes_no_argument() -> None:
    from sparsebench.suites.llm.backbones import mpnet_base

    with pytest.raises(ValueError, match="takes no argument, not '384'"):
        mpnet_base.load(torch.Generator(), "384")
