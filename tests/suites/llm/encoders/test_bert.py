"""The text body: that of transformers, whatever the padding, with stages that can be taken apart."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.suites.llm.backbones import tiny_encoder
from sparsebench.suites.llm.encoders.bert import LENGTH, TextBody, remembered
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

from .text_bodies import TEXTS, check_stages, check_training_and_copies


@pytest.fixture
def body() -> TextBody:
    return tiny_encoder.load(torch.Generator().manual_seed(0))


@torch.no_grad()
def slow_features(body: TextBody, text) -> Tensor:
    """One text by itself through transformers, mean over its tokens."""
    parts = (text,) if isinstance(text, str) else text
    options = {"truncation": True, "max_length": LENGTH, "return_token_type_ids": True, "return_tensors": "pt"}
    inputs = byte_tokenizer()(*parts, **options)
    return body.network(**inputs).last_hidden_state[0].mean(0)


@torch.no_grad()
def test_features_of_a_batch_are_those_of_each_text_alone(body: TextBody) -> None:
    features = body(body.collate(body.encode(TEXTS)))
    expected = torch.stack([slow_features(body, text) for text in TEXTS])
    assert features.shape == (4, 32)
    assert torch.allclose(features, expected, atol=1e-5)
    assert (expected[0] - expected[1]).abs().max() > 0.1  # the comparison can fail


@pytest.mark.data
@torch.no_grad()
def test_minilm_gives_the_vectors_of_transformers_and_knows_what_is_alike() -> None:
    from transformers import AutoModel, AutoTokenizer

    from sparsebench.suites.llm.backbones import minilm_l6

    body = minilm_l6.load(torch.Generator())
    assert sum(p.numel() for p in body.parameters()) == 22_565_376
    texts = ["A man is eating food.", "Someone has a meal.", "The stock market fell sharply today."]
    features = body(body.collate(body.encode(texts)))
    model, tokenizer = (kind.from_pretrained(minilm_l6._folder()) for kind in (AutoModel, AutoTokenizer))
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    hidden, mask = model.eval()(**inputs).last_hidden_state, inputs["attention_mask"].unsqueeze(-1)
    assert torch.allclose(features, (hidden * mask).sum(1) / mask.sum(1), atol=1e-4)
    alike = torch.nn.functional.cosine_similarity(features[:1], features[1:])
    assert alike[0] > 0.5 > 0.2 > alike[1]


def test_a_batch_is_as_long_as_its_longest_text(body: TextBody) -> None:
    batch = body.collate(body.encode(TEXTS[:3]))
    assert batch.values.shape == (3, 15, 2)  # "first" and "and second"
    assert batch.attention_mask.sum(1).tolist() == [1, 9, 15]
    assert body.encode(TEXTS)[3].shape == (LENGTH, 2)


def test_the_second_text_of_a_pair_is_another_segment(body: TextBody) -> None:
    assert body.encode([("ab", "c")])[0][:, 1].tolist() == [0, 0, 1]


def test_a_text_is_tokenised_once() -> None:
    calls = []

    def tokenizer(*texts, **options):
        calls.append(texts[0])
        return byte_tokenizer()(*texts, **options)

    memory: dict = {}
    first = remembered(memory, tokenizer, ["a", "b", "a", ("c", "d")])
    again = remembered(memory, tokenizer, ["b", "a", ("c", "d")])
    assert calls == [["a", "b"], ["c"]]
    for one, other in zip(again, (first[1], first[0], first[3]), strict=True):
        assert torch.equal(one, other) and one is not other, "what is remembered stays as it is, whoever edits"


def test_stages_are_the_forward_pass_and_can_be_taken_apart_anywhere(body: TextBody) -> None:
    check_stages(body)


def test_training_has_no_dropout_and_copies_share_the_tokenizer(body: TextBody) -> None:
    check_training_and_copies(body)


def test_anatomy_is_that_of_the_network(body: TextBody) -> None:
    anatomy = describe(body)
    assert anatomy.model is body and len(anatomy.blocks) == 2 and anatomy.width == 32
    assert anatomy.blocks[0].mlp is not None and anatomy.blocks[0].mlp.hidden == 64


def test_calibration_samples_no_padding(body: TextBody) -> None:
    batch = body.collate(body.encode(TEXTS[:3]))
    seen = calibrate(body, [batch])
    assert len(seen.document) == 1 + 9 + 15
    assert seen.document.bincount().tolist() == [1, 9, 15]
