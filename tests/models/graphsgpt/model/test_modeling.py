from pathlib import Path

import pytest
import torch
from torch import nn

from sparsebench.models.counting import flops
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.decoder import GraphGPT
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT

from ..model_cases import batch, small


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("words", [1, 2, 4, 8])
def test_parameters_of_the_published_sizes(words: int) -> None:
    with torch.device("meta"):
        model = GraphsGPT(GraphsGPTConfig.faithful(words))
    more = 512 * (words - 1)
    assert count(model) == 51_113_216 + 2 * more
    assert count(model.encoder) == 25_437_696 + more
    assert count(model.decoder) == 25_436_160 + more
    assert count(model.heads) == 239_360


@pytest.mark.parametrize("which", ["whole", "encoder", "decoder"])
def test_saved_models_come_back(which: str, tmp_path: Path) -> None:
    whole = small(properties={"logp": [2.0, 1.0], "qed": [0.7, 0.1]})
    model = whole if which == "whole" else getattr(whole, which)
    model.save_pretrained(tmp_path)
    back = type(model).from_pretrained(tmp_path)
    assert isinstance(back, GraphsGPT | Graph2Seq | GraphGPT)
    saved, read = model.config.to_dict(), back.config.to_dict()
    assert saved | {"_name_or_path": ""} == read | {"_name_or_path": ""}
    assert model.state_dict().keys() == back.state_dict().keys()
    assert all(torch.equal(weight, back.state_dict()[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_a_half_is_read_from_the_folder_of_the_whole(half: str, tmp_path: Path) -> None:
    """It came back with the weights that it starts with."""
    whole = small()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.add_(0.1)
    whole.save_pretrained(tmp_path)
    model = getattr(whole, half)
    back, found = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"]
    assert model.state_dict().keys() == back.state_dict().keys()
    assert all(torch.equal(weight, back.state_dict()[name]) for name, weight in model.state_dict().items())


def test_fewer_words_of_a_frozen_model_stay_frozen() -> None:
    model = small().requires_grad_(False).keep_words(2)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in small().keep_words(2).parameters())


@torch.no_grad()
def test_any_number_of_words_up_to_k() -> None:
    model, tokens = small(num_words=4), batch()
    for words in (1, 3, 4):
        out = model(tokens, num_words=words)
        assert out.words.shape == (len(tokens), words, 32) and torch.isfinite(out.loss)
    assert not torch.equal(model(tokens, num_words=1).words[:, 0], model(tokens).words[:, 0])
    for wrong in (0, 5):
        with pytest.raises(ModelError, match=rf"num_words={wrong} must lie in 1\.\.4"):
            model(tokens, num_words=wrong)
    assert model.decoder(tokens, torch.empty(len(tokens), 0, 32)).shape == (len(tokens), 1 + tokens.tokens.shape[1], 32)


@torch.no_grad()
def test_word_dropout_draws_k_in_training_alone() -> None:
    model, tokens = small(num_words=4, word_dropout=1.0).train(), batch(["CCO"])
    generator = torch.Generator().manual_seed(0)
    drawn = [model(tokens, generator=generator).words.shape[1] for _ in range(60)]
    assert set(drawn) == {1, 2, 3, 4}
    assert model.eval()(tokens).words.shape[1] == 4


def test_operations_can_be_counted() -> None:
    model, tokens = small(), batch(["CCO"])
    slots = 2 * 3 + 1 + 2 * 5  # words, BOS and tokens of both halves
    weights = 2 * (4 * 32 * 32 + 2 * 32 * 48)
    assert flops(model, tokens) > 2 * slots * weights
    assert flops(model.decoder, tokens, model.encoder(tokens).detach()) < flops(model, tokens)


def test_choices_are_checked() -> None:
    with pytest.raises(ModelError, match="did you mean 'canonical'"):
        GraphsGPTConfig(encoder_ids="canonic")
    with pytest.raises(ModelError, match="no multiple"):
        GraphsGPTConfig(hidden_size=30)
    with pytest.raises(ModelError, match="cannot be orthogonal"):
        GraphsGPTConfig(max_atoms=129)
    with pytest.raises(ModelError, match="fraction"):
        GraphsGPTConfig(word_dropout=2.0)
