"""The Graph2Seq body: the words of the model, whatever the padding, with stages that can be taken apart."""

import copy
import pickle
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Tokenizer, Vocabulary
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.suites.molecules.backbones import graph2seq, graph2seq_random, tiny_encoder
from sparsebench.suites.molecules.features import graph2seq as graph2seq_features
from sparsebench.suites.molecules.features.graph2seq import Graph2SeqBody, Molecules

SMILES = ["C", "c1ccccc1O", "[CH3]", "CC(=O)N", "[Na+].[Cl-]"]
RADICAL = 2
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_words": 4,
}


def config(**fields: Any) -> GraphsGPTConfig:
    return GraphsGPTConfig.of(Vocabulary.improved(), **(SIZES | fields))


@pytest.fixture
def body() -> Graph2SeqBody:
    return tiny_encoder.load(torch.Generator().manual_seed(0))


@torch.no_grad()
def test_words_are_those_of_the_model_on_the_tokenizers_batch(body: Graph2SeqBody) -> None:
    batch, expected = body.collate(body.encode(SMILES)), Tokenizer(body.vocabulary)(SMILES).batch()
    for name, tensor in vars(expected).items():
        assert torch.equal(getattr(batch, name), tensor), name
        assert torch.equal(getattr(batch.batch(), name), tensor), name
    assert torch.equal(body.words(batch), body.network(expected))


@torch.no_grad()
@pytest.mark.parametrize("pool", ["first", "mean", "concat"])
def test_pools(pool: Any) -> None:
    body = Graph2SeqBody(Graph2Seq(config()), pool)
    batch = body.collate(body.encode(SMILES))
    words = body.words(batch)
    expected = {"first": words[:, 0], "mean": words.mean(1), "concat": words.reshape(5, -1)}[pool]
    assert body.width == expected.shape[1] and body.generator is None
    assert torch.allclose(body(batch), expected, atol=1e-6)


@torch.no_grad()
def test_features_of_a_batch_are_those_of_each_molecule_alone(body: Graph2SeqBody) -> None:
    items = body.encode(SMILES)
    alone = torch.cat([body(body.collate([item])) for item in items])
    assert torch.allclose(body(body.collate(items)), alone, atol=1e-5)
    assert torch.pdist(alone).min() > 0.01  # the comparison can fail


def test_items_are_int16_rows_and_refused_molecules_keep_their_row(body: Graph2SeqBody) -> None:
    items = body.encode(SMILES)
    assert [item.dtype for item in items] == [torch.int16] * 5
    assert [tuple(item.shape) for item in items] == [(1, 4), (14, 4), (0, 4), (7, 4), (3, 4)]
    assert body.refused_fraction == 1 / 5
    many = body.encode(["C" * 129, "CCO"])
    assert len(many[0]) == 0 and len(many[1]) == 5 and body.refused_fraction == 2 / 7


def test_random_ids_of_a_model_are_not_used() -> None:
    body = Graph2SeqBody(Graph2Seq(config(encoder_ids="random")))
    batch = body.collate(body.encode(SMILES))
    assert torch.equal(body(batch), body(batch))


def test_a_molecule_is_tokenised_once_for_each_vocabulary(body: Graph2SeqBody, monkeypatch: Any) -> None:
    small = Vocabulary.improved([(6, 0), (8, 0)])
    other = Graph2SeqBody(Graph2Seq(GraphsGPTConfig.of(small, **SIZES)))
    first = body.encode(["CCO", "CCN"])
    assert [len(item) for item in other.encode(["CCO", "CCN"])] == [5, 0], "nitrogen is not in its vocabulary"

    def fail(vocabulary: Vocabulary) -> Tokenizer:
        raise AssertionError("tokenised again")

    monkeypatch.setattr(graph2seq_features, "_tokenizer", fail)
    again = body.encode(["CCN"])[0]
    assert torch.equal(again, first[1]) and again is not first[1], "what is remembered stays as it is, whoever edits"


def test_an_unreadable_smiles_is_named_with_its_row(body: Graph2SeqBody) -> None:
    with pytest.raises(ValueError, match=r"row 2: 'C1CC' is not a valid SMILES"):
        body.encode(["CCO", "[CH3]", "C1CC"])
    with pytest.raises(ValueError, match=r"row 0: '' is not a valid SMILES"):
        body.encode([""])


@torch.no_grad()
def test_stages_are_the_forward_pass_and_can_be_taken_apart_anywhere(body: Graph2SeqBody) -> None:
    items = body.encode(SMILES)
    expected = body(body.collate(items))
    order = [4, 2, 0, 3, 1]
    for cut in range(1, len(body.stages()) + 1):
        result: Any = body.collate(items)
        for stage in body.stages()[:cut]:
            result = stage(result)
        parts = body.split(result)
        assert len(parts) == 5
        if cut < len(body.stages()):
            assert [len(part) for part in parts] == [4 + len(item) for item in items]
        result = body.join([parts[index] for index in order])
        for stage in body.stages()[cut:]:
            result = stage(result)
        assert isinstance(result, Tensor) and torch.allclose(result, expected[order], atol=1e-5)


def test_anatomy_is_that_of_the_encoder(body: Graph2SeqBody) -> None:
    anatomy = describe(body)
    assert anatomy.model is body and len(anatomy.blocks) == 2 and anatomy.width == 32 and anatomy.head is None
    mlp, attention = anatomy.blocks[0].mlp, anatomy.blocks[0].attention
    assert mlp is not None and (mlp.kind, mlp.hidden, mlp.site.path) == ("plain", 64, "network.layers.0.mlp")
    assert attention is not None and attention.num_heads == 4
    mlp.replace(nn.Identity())
    assert isinstance(body.network.layers[0].mlp, nn.Identity)


def test_calibration_samples_words_and_tokens_but_no_padding(body: Graph2SeqBody) -> None:
    seen = calibrate(body, [body.collate(body.encode(SMILES))])
    assert seen.document.bincount().tolist() == [5, 18, 4, 11, 7]


def test_the_decoder_is_beside_the_body_not_in_it(body: Graph2SeqBody) -> None:
    assert isinstance(body.generator, GraphsGPT) and body.generator.encoder is body.network
    assert not any("decoder" in name or "heads" in name for name in body.state_dict())
    for other in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):
        assert other.generator is not body.generator and other.generator.encoder is other.network


def test_what_the_body_cannot_take() -> None:
    with pytest.raises(ModelError, match="pool"):
        Graph2SeqBody(Graph2Seq(config()), "max")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="has no vocabulary"):
        Graph2SeqBody(Graph2Seq(GraphsGPTConfig(**SIZES)))


@pytest.fixture
def small_model(monkeypatch: pytest.MonkeyPatch) -> GraphsGPT:
    """A stand-in for the packaged weights."""
    module, model = ModuleType("graphsgpt_small"), GraphsGPT(config()).eval()
    vars(module).update(load_small=lambda: model, small_config=config)
    monkeypatch.setitem(sys.modules, "sparsebench.suites.molecules.graphsgpt_small", module)
    return model


def test_backbones_take_a_pool_and_weights(small_model: GraphsGPT) -> None:
    generator = torch.Generator().manual_seed(0)
    trained, random = graph2seq.load(generator, "mean"), graph2seq_random.load(generator, "concat")
    assert (trained.pool, trained.width, random.pool, random.width) == ("mean", 32, "concat", 128)
    assert trained.network is small_model.encoder and trained.generator is small_model and random.generator is None
    batch = trained.collate(trained.encode(SMILES))
    again = graph2seq_random.load(torch.Generator().manual_seed(0), "concat")
    other = graph2seq_random.load(torch.Generator().manual_seed(1), "concat")
    first = graph2seq_random.load(torch.Generator().manual_seed(0), "concat")
    assert torch.equal(first(batch), again(batch)) and not torch.equal(first(batch), other(batch))


@pytest.mark.parametrize("backbone", [graph2seq, graph2seq_random, tiny_encoder])
def test_backbones_explain_a_wrong_argument(backbone: ModuleType, small_model: GraphsGPT) -> None:
    with pytest.raises(ValueError, match=r"wants one of first, mean, concat, as in \w+:mean, not 'max'"):
        backbone.load(torch.Generator(), "max")


def test_batches_move_whole(body: Graph2SeqBody) -> None:
    batch = body.collate(body.encode(SMILES)).to("cpu", non_blocking=True)
    assert isinstance(batch, Molecules) and batch.attention_mask.sum(1).tolist() == [5, 18, 4, 11, 7]
