"""CharRNN: the loss counts each character once, sampling agrees with it, and what is saved is loaded."""

from pathlib import Path

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.char_rnn import END, IGNORED, CharRNN, CharRNNConfig, alphabet

SMILES = ["CCO", "c1ccccc1", "N"]


def small(**fields: int) -> CharRNN:
    return CharRNN(CharRNNConfig(characters=alphabet(SMILES), embedding=8, width=16, **fields)).eval()


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_batch_starts_with_the_start_and_ends_with_the_end() -> None:
    model = small()
    batch = model.batch(["CO", "N"])
    c, n, o = (1 + model.config.characters.index(character) for character in "CNO")
    assert batch.inputs.tolist() == [[END, c, o], [END, n, END]] and len(batch) == 2
    assert batch.targets.tolist() == [[c, o, END], [n, END, IGNORED]]
    with pytest.raises(ModelError, match=r"'CBr' has characters that the model does not know: \['B', 'r'\]"):
        model.batch(["CBr"])


def test_the_loss_is_the_mean_over_characters_and_ends_whatever_the_padding() -> None:
    model = small()
    alone = [float(model.log_likelihood([text])) for text in SMILES]
    torch.testing.assert_close(model.log_likelihood(SMILES), torch.tensor(alone))
    characters = sum(len(text) + 1 for text in SMILES)
    assert model.loss(model.batch(SMILES)).item() == pytest.approx(-sum(alone) / characters, rel=1e-5)


def test_what_is_sampled_has_the_likelihood_that_the_loss_gives_it() -> None:
    model = small(longest=30)
    written = model.sample(40, temperature=1.3, generator=draws())
    assert written == model.sample(40, temperature=1.3, generator=draws())
    ended = [one for one in written if one.ended]
    cut = [one for one in written if not one.ended]
    assert ended and len({one.text for one in ended}) > 3 and all(len(one.text) == 30 for one in cut)
    expected = model.log_likelihood([one.text for one in ended], temperature=1.3)
    torch.testing.assert_close(torch.tensor([one.log_prob for one in ended]), expected, rtol=1e-4, atol=1e-4)
    for wrong in (0.0, float("nan")):
        with pytest.raises(ModelError, match="must be above 0 and finite"):
            model.sample(1, temperature=wrong)


def test_it_learns_to_write_what_it_saw() -> None:
    model = small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(model.batch(SMILES)).backward()
        optimizer.step()
    assert {one.text for one in model.sample(50, temperature=0.5, generator=draws())} == set(SMILES)


def test_what_is_saved_is_loaded_in_half_precision_too(tmp_path: Path) -> None:
    model = small(seed=3)
    assert not torch.equal(model.head.weight, small(seed=4).head.weight)
    rounded = {name: weight.half().float() for name, weight in model.state_dict().items()}
    model.half().save(tmp_path)
    loaded = CharRNN.load(tmp_path)
    assert loaded.config == model.config and not loaded.training
    for name, weight in loaded.state_dict().items():
        assert weight.dtype == torch.float32 and torch.equal(weight, rounded[name]), name


def test_what_a_configuration_may_not_say() -> None:
    with pytest.raises(ModelError, match="must be different ones"):
        CharRNNConfig(characters="CC")
    with pytest.raises(ModelError, match="must be at least 1"):
        CharRNNConfig(characters="C", width=0)
