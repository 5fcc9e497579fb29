"""What a step of pre-training sees."""

from collections.abc import Callable

import torch

from sparsebench.suites.molecules.pretraining.batches import Batches, beginning
from sparsebench.suites.molecules.pretraining.corpus import Corpus


def test_steps_are_functions_of_their_number(corpus: Corpus, make_batches: Callable[..., Batches]) -> None:
    some = make_batches()
    for step in range(12):
        one, two, other = some.step(step, 0, 2), make_batches().step(step, 0, 2), some.step(step, 1, 2)
        assert torch.equal(one.batch.tokens, two.batch.tokens) and one.num_words == two.num_words == other.num_words
        assert (one.wanted is None) == (two.wanted is None) == (other.wanted is None)
        if one.wanted is not None:
            assert torch.equal(one.wanted.nan_to_num(), two.wanted.nan_to_num())
    kinds = {some.step(step).wanted is None for step in range(12)}
    assert kinds == {True, False}


def test_molecules_grow_to_their_length(corpus: Corpus, make_batches: Callable[..., Batches]) -> None:
    whole = corpus.molecules.batch(corpus.molecules.ok)
    for tokens in (1, 2, 4, 100):
        cut = beginning(whole, tokens)
        for row, length in enumerate(cut.lengths.tolist()):
            assert length in (tokens, tokens + 1) or length == whole.lengths[row]
            assert torch.equal(cut.tokens[row, :length], whole.tokens[row, :length])
            more = whole.tokens.shape[1] > length and whole.mask[row, length] and whole.is_node[row, length]
            assert not more  # an edge has the atom that it brings
    for share in (0.0, 1.0):
        growing = make_batches(condition_fraction=share, grow=10)
        longest = [int(growing.step(step).batch.lengths.max()) for step in range(12)]
        assert longest[0] <= 10


def test_an_epoch_takes_every_molecule_once(corpus: Corpus, make_batches: Callable[..., Batches]) -> None:
    some = make_batches(condition_fraction=0.0)
    rows = [some.step(step, rank, 2).batch.lengths for step in range(4) for rank in range(2)]
    assert sum(map(len, rows[:7])) == 27


def test_requests_ask_for_some_properties_or_for_a_scaffold_that_comes_first(
    corpus: Corpus, make_batches: Callable[..., Batches]
) -> None:
    some = make_batches(condition_fraction=1.0)
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


def test_steps_that_ask_for_nothing_take_all_molecules(corpus: Corpus, make_batches: Callable[..., Batches]) -> None:
    some = make_batches(condition_fraction=0.25, free_fraction=0.5, num_words=1)
    seen = [some.step(step) for step in range(60)]
    free = [step for step in seen if step.wanted is not None and step.wanted.isnan().all() and len(step.batch) > 1]
    assert 20 <= len(free) <= 48 and any(step.wanted is None for step in seen)
    assert {step.num_words for step in seen} == {None, 1}, "a model of one word"
    only = make_batches(condition_fraction=0.0, free_fraction=1.0)
    epoch = [only.step(step) for step in range(7)]
    assert sum(len(step.batch) for step in epoch) == 27 > len(corpus.rows), "also those without a condition"
    assert not any(step.source.lengths.any() for step in epoch if step.source is not None)


def test_other_kinds_of_molecules_come_with_their_own_words_only(
    corpus: Corpus, more: Corpus, make_batches: Callable[..., Batches]
) -> None:
    plain = make_batches(condition_fraction=0.25, free_fraction=0.25)
    some = make_batches(condition_fraction=0.25, free_fraction=0.25, more=more, more_fraction=0.5)
    from_more = 0
    for step in range(60):
        one, before = some.step(step), plain.step(step)
        assert one.num_words == before.num_words and (one.wanted is None) == (before.wanted is None)
        longest = int(one.batch.lengths.max())
        assert one.wanted is None or longest <= corpus.molecules.lengths.max()
        from_more += longest > corpus.molecules.lengths.max()
    assert 6 <= from_more <= 24, "half of the steps with own words"
    only = make_batches(condition_fraction=0.0, more=more, more_fraction=1.0)
    assert sum(len(only.step(step).batch) for step in range(2)) == 6, "each once in an epoch"
