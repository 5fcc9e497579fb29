"""What can be cut, and with which data. The messages of `convert` itself are in `test_convert.py`."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import Calibration, calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import to_dense
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.preconditions import calibration_for, feed_forwards, to_convert

Build = Callable[[str], nn.Module]


def test_layers_by_block_and_place(build: Build) -> None:
    anatomy = describe(build("llama"))
    anatomy.blocks[0].mlp = None
    ffns = feed_forwards(anatomy)
    assert [(ffn.block, ffn.place) for ffn in ffns] == [(1, 0)]
    assert to_convert(anatomy, ffns, MoEConfig(layers=(1,))) == ffns
    with pytest.raises(ModelError, match="block 0 has no feed-forward layer"):
        to_convert(anatomy, ffns, MoEConfig(layers=(0,)))
    with pytest.raises(ModelError, match="block 2 does not exist: there are 2 blocks"):
        to_convert(anatomy, ffns, MoEConfig(layers=(1, 2)))


def _norm_inside(model: nn.Module) -> None:
    model.model.layers[1].mlp.norm = nn.LayerNorm(4)


def _dropout_inside(model: nn.Module) -> None:
    model.model.layers[1].mlp.act_fn = nn.Sequential(nn.SiLU(), nn.Dropout(0.1))


@pytest.mark.parametrize(
    ("spoil", "message"), [(_norm_inside, "outside its linear layers"), (_dropout_inside, "dropout inside")]
)
def test_an_ffn_that_is_more_than_its_neurons_is_refused(spoil: Callable, message: str, build: Build) -> None:
    model = build("llama")
    spoil(model)
    anatomy = describe(model)
    ffns = feed_forwards(anatomy)
    assert to_convert(anatomy, ffns, MoEConfig(layers=(0,))) == ffns[:1]
    with pytest.raises(ModelError, match=rf"layers\.1\.mlp .*{message}"):
        to_convert(anatomy, ffns, MoEConfig())


def test_dropout_that_drops_nothing_is_no_obstacle(build: Build) -> None:
    model = build("llama")
    model.model.layers[1].mlp.act_fn = nn.Sequential(nn.SiLU(), nn.Dropout(0.0))
    anatomy = describe(model)
    assert len(to_convert(anatomy, feed_forwards(anatomy), MoEConfig())) == 2


def test_data_are_used_only_where_something_asks_for_them(build: Build, example: Callable) -> None:
    model = build("llama")
    ffns = feed_forwards(describe(model))
    seen = calibrate(model, [example(model)])
    assert calibration_for(model, ffns, MoEConfig(), seen) is None
    assert calibration_for(model, ffns, MoEConfig(num_shared=1), None) is None  # the shared neurons are then random
    assert calibration_for(model, ffns, MoEConfig(num_shared=1), seen) is seen


def test_batches_are_run_for_gradients_where_these_are_needed(build: Build, example: Callable) -> None:
    model = build("llama")
    ffns = feed_forwards(describe(model))
    for importance, recorded in (("activation", False), ("gradient", True)):
        config = MoEConfig(num_shared=1, importance=importance)
        seen = calibration_for(model, ffns, config, [example(model)])
        assert isinstance(seen, Calibration)
        assert all((sample.dh is not None) == recorded for sample in seen.samples)


def test_samples_of_another_number_or_size_of_layers(build: Build, example: Callable) -> None:
    model = build("llama")
    ffns = feed_forwards(describe(model))
    seen = calibrate(model, [example(model)])
    config = MoEConfig(router_init="energy")
    fewer = Calibration(seen.samples[:1], seen.document, seen.embedding)
    with pytest.raises(ModelError, match="of another model than this LlamaForCausalLM with 2 FFNs"):
        calibration_for(model, ffns, config, fewer)
    narrow = copy.deepcopy(seen)
    object.__setattr__(narrow.samples[1], "h", torch.zeros(len(narrow.samples[1].h), 8))
    with pytest.raises(ModelError, match="of another model"):
        calibration_for(model, ffns, config, narrow)


def test_a_layer_that_is_converted_already_is_not_compared(build: Build, example: Callable) -> None:
    model = build("llama")
    seen = calibrate(model, [example(model)])
    convert(model, MoEConfig(layers=(0,)))
    ffns = feed_forwards(describe(model))
    assert calibration_for(model, ffns, MoEConfig(layers=(1,), router_init="energy"), seen) is seen


def test_weights_of_several_dtypes_are_refused(build: Build) -> None:
    model = build("llama").bfloat16()
    model.model.layers[1].mlp.down_proj.float()
    with pytest.raises(ModelError, match=r"layers\.1\.mlp holds weights of bfloat16 and float32"):
        convert(model, MoEConfig(num_experts=4, top_k=2))
    assert not [name for name, _ in model.named_modules() if name.endswith("router")]


def published(model_class: str, **sizes: int) -> Any:
    """A tiny model with the dropout of 0.1 that its published checkpoints have."""
    config = getattr(transformers, f"{model_class}Config")(vocab_size=32, **sizes)
    name = {"GPT2": "GPT2LMHeadModel", "T5": "T5ForConditionalGeneration"}[model_class]
    return getattr(transformers, name)(config)


def test_dropout_on_the_outputs_is_kept_as_in_gpt2(tmp_path: Path) -> None:
    model = published("GPT2", n_embd=16, n_layer=2, n_head=2, n_positions=16).train()
    convert(model, MoEConfig(num_experts=4))
    x = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    save(model, tmp_path / "model")
    for each in (model, load(tmp_path / "model")):
        layer = each.transformer.h[1].mlp
        plain = layer.eval()(x)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            dropped = layer.train()(x)
        gone = dropped == 0
        assert 0.05 < float(gone.float().mean()) < 0.15
        torch.testing.assert_close(dropped[~gone], plain[~gone] / 0.9)
    assert to_dense(model).transformer.h[1].mlp.dropout.p == 0.1


def test_dropout_on_hidden_neurons_is_refused_as_in_t5() -> None:
    model = published("T5", d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    with pytest.raises(ModelError, match="has dropout inside the FFN, which a conversion would lose: set its p to 0"):
        convert(model, MoEConfig(num_experts=4))
