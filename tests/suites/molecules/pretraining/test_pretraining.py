"""Pre-training on a handful of molecules: what is prepared and seen, stopping and going on, what is written."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, GraphsGPTPipeline, to_smiles
from sparsebench.suites.molecules.pretraining.__main__ import trained
from sparsebench.suites.molecules.pretraining.batches import Batches, beginning
from sparsebench.suites.molecules.pretraining.card import write_model
from sparsebench.suites.molecules.pretraining.corpus import NAMES, Corpus, build_corpus, read_smiles
from sparsebench.suites.molecules.pretraining.loop import Settings, pretrain

SMILES = [
    "CCO",
    "c1ccccc1O",
    "CC(=O)N",
    "C1CC1C",
    "nonsense",
    "CCCCCC",
    "c1ccncc1C",
    "CCN(C)C",
    "O=C1CCCN1",
    "CCCl",
] * 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(tmp_path_factory.mktemp("corpus"), partial(iter, SMILES), conditions=15, workers=1)


def batches(corpus: Corpus, **fields: float) -> Batches:
    given = {"batch_size": 4, "condition_fraction": 0.5, "num_words": 4, "word_dropout": 0.5, "seed": 0} | fields
    return Batches(corpus=corpus, **given)


def model(corpus: Corpus) -> GraphsGPT:
    config = GraphsGPTConfig.of(
        corpus.molecules.vocabulary,
        num_words=4,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        properties=corpus.statistics(),
    )
    return GraphsGPT(config)


def test_requests_lie_evenly_and_hold_scaffold_and_properties(corpus: Corpus) -> None:
    assert corpus.rows.tolist() == list(range(0, 30, 2)) and len(corpus.molecules.ok) == 27
    vocabulary = corpus.molecules.vocabulary
    for place, row in enumerate(corpus.rows):
        tokens, text = corpus.scaffolds[place], SMILES[row]
        if text == "nonsense":
            assert not tokens.shape[1] and np.isnan(corpus.values[place]).all()
            continue
        assert (to_smiles(tokens, vocabulary) if tokens.shape[1] else "") == scaffold_of(text)
        grown = corpus.grown[place]
        assert np.array_equal(grown[:, : tokens.shape[1]], tokens) and bool(grown.shape[1]) == bool(tokens.shape[1])
        assert not tokens.shape[1] or to_smiles(grown, vocabulary) == Chem.CanonSmiles(text)
        expected = dict(zip(PROPERTIES, properties(text), strict=True))
        np.testing.assert_allclose(corpus.values[place], [expected[name] for name in NAMES], rtol=1e-5)


def test_a_prepared_folder_is_opened_and_checked(corpus: Corpus) -> None:
    folder = corpus.molecules.folder.parent
    again = build_corpus(folder, partial(iter, []), conditions=15, workers=1)
    assert np.array_equal(again.values, corpus.values, equal_nan=True)
    with pytest.raises(ValueError, match="prepared for 15 conditions, not 10"):
        build_corpus(folder, partial(iter, []), conditions=10, workers=1)


def test_steps_are_functions_of_their_number(corpus: Corpus) -> None:
    some = batches(corpus)
    for step in range(12):
        one, two, other = some.step(step, 0, 2), batches(corpus).step(step, 0, 2), some.step(step, 1, 2)
        assert torch.equal(one.batch.tokens, two.batch.tokens) and one.num_words == two.num_words == other.num_words
        assert (one.wanted is None) == (two.wanted is None) == (other.wanted is None)
        if one.wanted is not None:
            assert torch.equal(one.wanted.nan_to_num(), two.wanted.nan_to_num())
    kinds = {some.step(step).wanted is None for step in range(12)}
    assert kinds == {True, False}


def test_molecules_grow_to_their_length(corpus: Corpus) -> None:
    whole = corpus.molecules.batch(corpus.molecules.ok)
    for tokens in (1, 2, 4, 100):
        cut = beginning(whole, tokens)
        for row, length in enumerate(cut.lengths.tolist()):
            assert length in (tokens, tokens + 1) or length == whole.lengths[row]
            assert torch.equal(cut.tokens[row, :length], whole.tokens[row, :length])
            more = whole.tokens.shape[1] > length and whole.mask[row, length] and whole.is_node[row, length]
            assert not more  # an edge has the atom that it brings
    for share in (0.0, 1.0):
        growing = batches(corpus, condition_fraction=share, grow=10)
        longest = [int(growing.step(step).batch.lengths.max()) for step in range(12)]
        assert longest[0] <= 10


def test_an_epoch_takes_every_molecule_once(corpus: Corpus) -> None:
    some = batches(corpus, condition_fraction=0.0)
    rows = [some.step(step, rank, 2).batch.lengths for step in range(4) for rank in range(2)]
    assert sum(map(len, rows[:7])) == 27


def test_requests_ask_for_some_properties_or_for_a_scaffold_that_comes_first(corpus: Corpus) -> None:
    some = batches(corpus, condition_fraction=1.0)
    seen = [some.step(step) for step in range(80)]
    wanted = torch.cat([step.wanted for step in seen if step.wanted is not None])
    assert 0.25 < wanted.isnan().float().mean() < 0.8 and wanted.isnan().all(1).any()
    scaffolds = [step for step in seen if step.source is not None and step.source.lengths.any()]
    assert 12 < len(scaffolds) < 38
    for step in scaffolds:
        source = step.source
        assert source is not None and source.lengths.all()
        same = (step.batch.tokens[:, : source.tokens.shape[1]] == source.tokens) | ~source.mask
        assert same.all() and (step.batch.lengths >= source.lengths).all()
    assert all(step.batch.lengths.all() for step in seen)


def test_a_stopped_run_goes_on_to_the_same_weights(corpus: Corpus, tmp_path: Path) -> None:
    settings = Settings(steps=6, batch_size=4, save_every=3, log_every=3)
    whole, _ = pretrain(model(corpus), batches(corpus), settings, tmp_path / "whole")
    part = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)
    assert part["step"] == 6

    class StopError(RuntimeError):
        pass

    class Stopping(Batches):
        def step(self, step: int, rank: int = 0, processes: int = 1):
            if step == 4:
                raise StopError
            return super().step(step, rank, processes)

    with pytest.raises(StopError):
        pretrain(model(corpus), Stopping(**vars(batches(corpus))), settings, tmp_path / "parts")
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 3
    resumed, _ = pretrain(model(corpus), batches(corpus), settings, tmp_path / "parts")
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, msg=name)


def test_what_is_written_can_be_used(corpus: Corpus, tmp_path: Path) -> None:
    trained, seconds = pretrain(model(corpus), batches(corpus), Settings(steps=2, batch_size=4), tmp_path)
    write_model(tmp_path, trained, Settings(steps=2), corpus, ["CCO", "CCN"], seconds)
    card = json.loads((tmp_path / "card.json").read_text())
    assert (
        set(card["exact reconstruction"]) == {"exact K=1", "exact K=2", "exact K=4"} and card["held-out molecules"] == 2
    )
    assert card["sampled without a condition"]["valid, constrained"] == 1.0
    pipe = GraphsGPTPipeline.from_pretrained(tmp_path)
    assert len(pipe.generate(3, properties={"qed": 0.9})) == 3


def test_a_trained_model_goes_on_with_autoregressive_heads(corpus: Corpus, tmp_path: Path) -> None:
    before = model(corpus)
    before.save_pretrained(tmp_path / "before")
    (tmp_path / "before" / "card.json").write_text('{"seconds": 7}')
    after = trained(tmp_path / "before")
    batch = corpus.molecules.batch([0, 1, 2])
    assert after.config.autoregressive_heads and after.config.property_names == before.config.property_names
    torch.testing.assert_close(after(batch).loss, before(batch).loss)
    write_model(tmp_path / "after", after, Settings(steps=1), corpus, [], 1.0, tmp_path / "before")
    assert json.loads((tmp_path / "after" / "card.json").read_text())["went on from"] == {"seconds": 7}


def test_smiles_files_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("smiles,name\nCCO,a\n\nCCN b\n")
    assert list(read_smiles(file)) == ["CCO", "CCN"]
