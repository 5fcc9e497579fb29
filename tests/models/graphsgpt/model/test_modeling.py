from pathlib import Path

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import flops
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.decoder import GraphGPT
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.moe import MoEConfig, convert

from ..model_cases import batch, faithful, small


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


def test_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(0)
    first = small()
    torch.manual_seed(1)
    again, other = small(), small(seed=1)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
        constant = "norm" in name or name.endswith("bias")
        assert constant or not torch.equal(weight, other.state_dict()[name])
    halves = (first.encoder.layers[0].mlp.up_proj.weight, first.decoder.layers[0].mlp.up_proj.weight)
    assert not torch.equal(*halves)
    assert halves[0].std().item() == pytest.approx(first.config.initializer_range, rel=0.1)


@pytest.mark.parametrize("which", ["whole", "encoder", "decoder"])
def test_saved_models_come_back(which: str, tmp_path: Path) -> None:
    whole = small()
    model = whole if which == "whole" else getattr(whole, which)
    model.save_pretrained(tmp_path)
    back = type(model).from_pretrained(tmp_path)
    assert isinstance(back, GraphsGPT | Graph2Seq | GraphGPT)
    saved, read = model.config.to_dict(), back.config.to_dict()
    assert saved | {"_name_or_path": ""} == read | {"_name_or_path": ""}
    assert model.state_dict().keys() == back.state_dict().keys()
    assert all(torch.equal(weight, back.state_dict()[name]) for name, weight in model.state_dict().items())


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


@pytest.mark.parametrize("shape", [(2, 3, 32), (1, 4, 32), (1, 3, 31), (3, 32)])
def test_words_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = small()
    if shape == (2, 3, 32):
        assert model.decoder(batch(["C", "CC"]), torch.zeros(shape)).shape == (2, 4, 32)
        return
    with pytest.raises(ModelError, match=r"not \(molecules, at most 3, 32\)"):
        model.decoder(batch(["C"]), torch.zeros(shape))


@torch.no_grad()
def test_encoder_ids_are_canonical_or_drawn() -> None:
    tokens = batch()
    model = small()
    assert torch.equal(model.encoder(tokens), model.encoder(tokens))
    random = small(encoder_ids="random").encoder
    words = [random(tokens, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(words[0], words[1]) and not torch.equal(words[0], words[2])
    assert faithful().config.encoder_ids == "random"


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


@pytest.mark.parametrize(("which", "blocks"), [("whole", 4), ("encoder", 2), ("decoder", 2)])
def test_anatomy(which: str, blocks: int) -> None:
    whole = small()
    model = whole if which == "whole" else getattr(whole, which)
    anatomy = describe(model)
    assert [block.index for block in anatomy.blocks] == list(range(blocks)) and anatomy.width == 32
    for block in anatomy.blocks:
        attention, mlp = block.attention, block.mlp
        assert attention is not None and mlp is not None and mlp.up is not None and mlp.down is not None
        assert mlp.kind == "plain" and (mlp.width, mlp.hidden) == (32, 48) and mlp.activation is not None
        assert (attention.num_heads, attention.head_dim, len(attention.linears)) == (4, 8, 4)
        x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
        ours = mlp.down.get()(mlp.activation(mlp.up.get()(x)))
        torch.testing.assert_close(mlp.site.get()(x), ours)
        assert len(block.norms) == 2 and len(block.linears) == 6
    for site in anatomy.sites():
        assert model.get_submodule(site.path) is site.get()
    assert (anatomy.head is not None) == (which == "whole")
    norm = anatomy.final_norm
    assert norm is not None and norm.get() is (whole.encoder if which == "encoder" else whole.decoder).norm


@torch.no_grad()
def test_all_experts_at_once_are_the_dense_ffn() -> None:
    model, tokens = small(), batch()
    before = model(tokens)
    convert(model, MoEConfig(num_experts=4, top_k=4, score="none"))
    assert [type(layer.mlp).__name__ for layer in [*model.encoder.layers, *model.decoder.layers]] == ["MoEFFN"] * 4
    after = model(tokens)
    torch.testing.assert_close(after.words, before.words, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.loss, before.loss)


def test_calibrated_mixtures() -> None:
    model, tokens = small(), batch()
    convert(model, MoEConfig(num_experts=4, top_k=2, split="coact", router_init="energy"), [tokens])
    assert torch.isfinite(model(tokens).loss)


def test_lora_attaches_and_leaves_the_start_as_it_was() -> None:
    model, tokens = small(), batch()
    before = model(tokens).loss
    adapters = attach(model, LoRAConfig(r=2, targets=("q", "v", "up")))
    assert len(list(adapters.layers())) == 3 * 4
    out = model(tokens)
    torch.testing.assert_close(out.loss, before)
    out.loss.backward()
    assert model.encoder.layers[0].mlp.up_proj.base_layer.weight.grad is None
