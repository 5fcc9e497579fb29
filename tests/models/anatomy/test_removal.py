"""Blocks that leave a model, against a model that was built with the others only."""

import copy
from collections.abc import Callable

import pytest
import timm
import torch
import transformers
from torch import nn

from sparsebench.models.anatomy import Wrapper, describe
from sparsebench.models.errors import ModelError

from ..conftest import DECODER


def decoder(family: str, **extra: object) -> nn.Module:
    sizes = DECODER | {"intermediate_size": 48, "num_hidden_layers": 4, "eos_token_id": None} | extra
    config = getattr(transformers, f"{family}Config")(**sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return getattr(transformers, f"{family}ForCausalLM")(config).eval()


MODELS: dict[str, Callable[[], nn.Module]] = {
    "llama": lambda: decoder("Llama"),
    "sliding": lambda: decoder(
        "Qwen2",
        sliding_window=3,
        use_sliding_window=True,
        layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    ),
    "qwen2_moe": lambda: decoder(
        "Qwen2Moe",
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        decoder_sparse_step=2,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_shorter_decoder_generates_as_one_built_so(name: str, tmp_path) -> None:
    model = MODELS[name]()
    anatomy = describe(model)
    anatomy.remove([0, 2] if name == "sliding" else [1])
    kept = [1, 3] if name == "sliding" else [0, 2, 3]
    ids = torch.randint(3, 64, (2, 6), generator=torch.Generator().manual_seed(0))
    tokens = model.generate(ids, max_new_tokens=6, do_sample=False)

    # The same layers in a model whose configuration had that many from the start.
    oracle = type(model)(copy.deepcopy(model.config)).eval()
    state = {name: value for name, value in MODELS[name]().state_dict().items() if ".layers." not in name}
    for place, layer in enumerate(kept):
        old = f"model.layers.{layer}."
        for key, value in MODELS[name]().state_dict().items():
            if key.startswith(old):
                state[f"model.layers.{place}.{key.removeprefix(old)}"] = value
    oracle.load_state_dict(state)
    assert torch.equal(tokens, oracle.generate(ids, max_new_tokens=6, do_sample=False))
    with torch.no_grad():
        assert torch.equal(model(ids).logits, oracle(ids).logits)
        # One token at a time, from the cache, as all at once.
        whole = model(tokens).logits[:, -1]
        step = model(tokens[:, :-1], use_cache=True)
        torch.testing.assert_close(model(tokens[:, -1:], cache=step.cache).logits[:, -1], whole)

    model.save_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(type(model).from_pretrained(tmp_path).eval()(ids).logits, oracle(ids).logits)
    assert [block.index for block in anatomy.blocks] == list(range(len(kept)))
    again = describe(model)
    assert [site.path for site in anatomy.sites()] == [site.path for site in again.sites()]


def test_dense_layers_in_front_are_counted_again() -> None:
    model = decoder(
        "Glm4Moe", first_k_dense_replace=2, n_routed_experts=4, moe_intermediate_size=16, num_experts_per_tok=2
    )
    describe(model).remove([0])
    assert (model.config.first_k_dense_replace, model.config.num_hidden_layers) == (1, 3)


def test_blocks_leave_a_vit_and_the_units_of_a_cnn_that_keep_the_shape() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=3, num_heads=4).eval()
    blocks = [vit.blocks[0], vit.blocks[2]]
    images = torch.randn(1, 3, 32, 32)
    describe(vit).remove([1])
    assert list(vit.blocks) == blocks and vit(images).isfinite().all()
    cnn = timm.create_model("tf_efficientnet_lite0").eval()
    anatomy = describe(cnn)
    skips = [block.index for block in anatomy.blocks if block.removable]
    assert 0 < len(skips) < len(anatomy.blocks)
    anatomy.remove(skips)
    assert cnn(images).isfinite().all() and len(describe(cnn).blocks) == len(anatomy.blocks)
    with pytest.raises(ModelError, match="changes the shape, or others need it"):
        anatomy.remove([0])


def test_an_encoder_and_a_decoder_each_count_their_own(tmp_path) -> None:
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 22, "num_heads": 4, "vocab_size": 32, "decoder_start_token_id": 0}
    config = transformers.T5Config(**sizes, num_layers=3, num_decoder_layers=3)
    model = transformers.T5ForConditionalGeneration(config).eval()
    describe(model).remove([1, 4, 5])
    assert (model.config.num_layers, model.config.num_decoder_layers) == (2, 1)
    ids = torch.randint(3, 32, (2, 6))
    logits = model(input_ids=ids, decoder_input_ids=ids).logits
    model.save_pretrained(tmp_path)
    loaded = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(input_ids=ids, decoder_input_ids=ids).logits, logits)
    assert torch.equal(model.generate(ids, max_new_tokens=4), loaded.generate(ids, max_new_tokens=4))
    with pytest.raises(ModelError, match=r"block\.0 changes the shape, or others need it"):
        describe(model).remove([0])


def test_a_configuration_further_up_is_found_and_one_of_several_lists_refused() -> None:
    config = transformers.DistilBertConfig(dim=16, hidden_dim=22, n_layers=3, n_heads=4, vocab_size=32)
    model = transformers.DistilBertModel(config).eval()
    describe(model).remove([1])
    assert model.config.n_layers == 2
    config = transformers.GPT2Config(
        n_embd=16, n_head=2, n_layer=3, scale_attn_by_inverse_layer_idx=True, vocab_size=32
    )
    with pytest.raises(ModelError, match=r"h\.1 changes the shape, or others need it"):
        describe(transformers.GPT2Model(config)).remove([1])
    swin = transformers.SwinConfig(embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=2, image_size=32)
    model = transformers.SwinModel(swin)
    with pytest.raises(ModelError, match=r"does not say num_hidden_layers=2 of the blocks around \S+ alone"):
        describe(model).remove([1])


def test_what_cannot_be_removed_is_refused_and_nothing_changes() -> None:
    model = decoder("Llama")
    with pytest.raises(ModelError, match=r"remove\(\[7\]\): the model has blocks 0\.\.3"):
        describe(model).remove([7])
    with pytest.raises(ModelError, match="at least one block"):
        describe(model).remove(range(4))
    model.model.layers[2] = Wrapper(model.model.layers[2])
    with pytest.raises(ModelError, match=r"layers\.2\.base_layer is wrapped in a Wrapper"):
        describe(model).remove([0])
    model.model.layers[2] = model.model.layers[2].base_layer
    model.config.num_hidden_layers = 3
    with pytest.raises(ModelError, match="does not say num_hidden_layers=4"):
        describe(model).remove([0])
    assert len(model.model.layers) == 4
