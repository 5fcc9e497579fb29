import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

Build = Callable[[str], nn.Module]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")


def ids(batch: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(3, 64, (batch, length), generator=torch.Generator().manual_seed(seed))


def next_token_loss(output, tokens: Tensor) -> Tensor:
    logits = output.logits.log_softmax(-1)
    return -torch.stack([logits[b, t, tokens[b, t + 1]] for b in range(len(tokens)) for t in range(5)]).sum()


def squared(output, batch) -> Tensor:
    return (output if isinstance(output, Tensor) else output.logits).square().sum()


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hidden_activations_follow_from_the_inputs(
    family: str, dtype: torch.dtype, build: Build, example: Callable
) -> None:
    model = build(family).to(dtype)
    batch = example(model)
    batch = batch.to(dtype) if batch.is_floating_point() else batch
    calibration = calibrate(model, [batch, batch[:1]], gradients=True, loss=squared)
    mlps = [block.mlp for block in describe(model).blocks if block.mlp]
    assert len(calibration.samples) == len(mlps) == 2
    for mlp, sample in zip(mlps, calibration.samples, strict=True):
        assert mlp.up is not None and mlp.activation is not None
        up = mlp.up.get()(sample.x)
        hidden = mlp.activation(up) if mlp.gate is None else mlp.activation(mlp.gate.get()(sample.x)) * up
        torch.testing.assert_close(sample.h, hidden)
        assert sample.dh is not None and sample.dh.shape == sample.h.shape and sample.dh.dtype == dtype
    assert calibration.document.unique().tolist() == [0, 1, 2]
    assert calibration.embedding.shape == (3, 32) and calibration.embedding.dtype == torch.float32


def test_gradients_are_derivatives_of_the_loss(build: Build) -> None:
    """Central differences through a hook that moves one hidden activation; BERT computes in float64 throughout."""
    model, tokens = build("bert").double(), ids(2, 6)
    gradients = [sample.dh for sample in calibrate(model, [tokens], gradients=True, loss=squared).samples]
    for layer, token, neuron in ((0, 0, 3), (0, 8, 40), (1, 0, 7), (1, 6, 7), (1, 5, 7)):

        def moved(step: float, layer=layer, token=token, neuron=neuron) -> float:
            def move(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
                change = torch.zeros_like(args[0])
                change[token // 6, token % 6, neuron] = step
                return (args[0] + change,)

            hook = model.bert.encoder.layer[layer].output.dense.register_forward_pre_hook(move)
            with torch.no_grad():
                value = squared(model(tokens), None).item()
            hook.remove()
            return value

        slope = (moved(1e-4) - moved(-1e-4)) / 2e-4
        assert gradients[layer][token, neuron].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)  # type: ignore[index]
    assert gradients[1][5].abs().max() == 0, "the classifier reads the first token only"  # type: ignore[index]


def test_default_loss_is_that_of_the_next_token(build: Build) -> None:
    model, tokens = build("llama").double(), ids(2, 6)
    default = calibrate(model, [{"input_ids": tokens}], gradients=True)
    explicit = calibrate(model, [tokens], gradients=True, loss=next_token_loss)
    for one, other in zip(default.samples, explicit.samples, strict=True):
        torch.testing.assert_close(one.dh, other.dh)
        assert one.dh is not None and one.dh.abs().amax(1).gt(0).tolist() == [True] * 5 + [False] + [True] * 5 + [False]


def test_the_size_of_batches_does_not_matter(build: Build) -> None:
    model, tokens = build("llama").double(), ids(4, 6)
    whole = calibrate(model, [tokens], gradients=True)
    parts = calibrate(model, [tokens[:1], tokens[1:]], gradients=True)
    for one, other in zip(whole.samples, parts.samples, strict=True):
        torch.testing.assert_close((one.x, one.h, one.dh), (other.x, other.h, other.dh))
    assert whole.document.equal(parts.document)
    torch.testing.assert_close(whole.embedding, parts.embedding)


@pytest.mark.parametrize("labels", [True, False])
def test_padding_is_left_out(labels: bool, build: Build) -> None:
    """A padded batch gives the tokens, gradients and embeddings of the texts alone."""
    model, short, long = build("llama").double(), ids(1, 4), ids(1, 7, seed=1)
    padded = torch.cat((F.pad(short, (0, 3)), long))
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[0, 4:] = 0
    batch = {"input_ids": padded, "attention_mask": mask}
    if labels:
        batch["labels"] = padded.masked_fill(mask == 0, -100)
    together = calibrate(model, [batch], gradients=True)
    alone = calibrate(model, [short, long], gradients=True)
    assert together.document.tolist() == [0] * 4 + [1] * 7 == alone.document.tolist()
    torch.testing.assert_close(together.embedding, alone.embedding)
    for one, other in zip(together.samples, alone.samples, strict=True):
        torch.testing.assert_close((one.x, one.h), (other.x, other.h))
        # The model's own loss is a mean over 9 predicted tokens, times 11 labels.
        torch.testing.assert_close(one.dh, other.dh * (11 / 9) if labels else other.dh)  # type: ignore[operator]


def test_labels_of_a_classifier(build: Build) -> None:
    model = build("bert").double()
    batch = {"input_ids": ids(3, 5), "labels": torch.tensor([0, 1, 1])}
    own = calibrate(model, [batch], gradients=True)
    explicit = calibrate(
        model, [batch], gradients=True, loss=lambda o, b: F.cross_entropy(o.logits, b["labels"], reduction="sum")
    )
    torch.testing.assert_close(own.samples[0].dh, explicit.samples[0].dh)


def test_labels_of_a_model_that_takes_none(build: Build, example: Callable) -> None:
    model = build("timm_vit")
    images, labels = example(model), torch.tensor([0, 2])
    own = calibrate(model, [{"x": images, "labels": labels}], gradients=True)
    explicit = calibrate(model, [images], gradients=True, loss=lambda o, b: F.cross_entropy(o, labels, reduction="sum"))
    torch.testing.assert_close(own.samples[1].dh, explicit.samples[1].dh)


@pytest.mark.parametrize("gradients", [True, False])
def test_the_model_is_left_as_it_was(gradients: bool, build: Build) -> None:
    model = build("bert").train()
    model.bert.embeddings.eval().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    state = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    required = [p.requires_grad for p in model.parameters()]
    for batches in ([ids(2, 5)], [torch.zeros(1, 3)]):  # the second one cannot be embedded
        try:
            calibrate(model, batches, gradients=gradients, loss=squared)
        except RuntimeError:
            assert batches[0].is_floating_point()
        assert state == [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
        assert required == [p.requires_grad for p in model.parameters()]
        assert all(p.grad is None for p in model.parameters())
    assert all(before[name].equal(value) for name, value in model.state_dict().items())


def test_frozen_models_have_the_same_gradients(build: Build) -> None:
    model = build("llama")
    trained = calibrate(model, [ids(2, 5)], gradients=True)
    frozen = calibrate(model.requires_grad_(False), [ids(2, 5)], gradients=True)
    assert all(a.dh.equal(b.dh) for a, b in zip(trained.samples, frozen.samples, strict=True))  # type: ignore[union-attr]


@pytest.mark.parametrize("most", [1, 7, 30, 31, 1000])
def test_tokens_are_spread_evenly(most: int, build: Build) -> None:
    model, batches = build("llama"), [ids(2, 5), ids(1, 6, seed=1), ids(2, 7, seed=2)]
    everything = calibrate(model, batches)
    some = calibrate(model, batches, max_tokens=most)
    assert len(everything.document) == 30
    rows = [i * 30 // min(most, 30) for i in range(min(most, 30))]
    assert some.document.equal(everything.document[rows])
    assert some.samples[1].h.equal(everything.samples[1].h[rows])
    assert some.embedding.equal(everything.embedding), "embeddings are means over all tokens"
    assert some.samples[0].dh is None


def test_embedding_is_the_mean_of_the_last_block(build: Build) -> None:
    model, tokens = build("llama"), ids(3, 5)
    with torch.no_grad():
        hidden = model(tokens, output_hidden_states=True).hidden_states
        last = model.model.layers[-1](
            hidden[-2], position_embeddings=model.model.rotary_emb(hidden[-2], torch.arange(5)[None])
        )
    last = last if isinstance(last, Tensor) else last[0]
    torch.testing.assert_close(calibrate(model, [tokens]).embedding, last.mean(1))


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no calibration batches"),
        ([{"input_ids": torch.ones(1, 3, dtype=torch.long), "attention_mask": torch.zeros(1, 3)}], "hold no token"),
    ],
)
def test_no_tokens(batches: list, message: str, build: Build) -> None:
    with pytest.raises(ModelError, match=message):
        calibrate(build("llama"), batches)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value: float, build: Build) -> None:
    model = build("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0] = value
    with pytest.raises(ModelError, match="feed-forward layer 1: activations"):
        calibrate(model, [ids(1, 4)])


def test_other_bad_input(build: Build, example: Callable) -> None:
    with pytest.raises(ModelError, match="max_tokens=0"):
        calibrate(build("llama"), [ids(1, 4)], max_tokens=0)
    with pytest.raises(ModelError, match="does not depend on any dense"):
        calibrate(build("mixtral"), [ids(1, 4)], gradients=True)
    with pytest.raises(ModelError, match="kind 'conv'"):
        calibrate(build("efficientnet"), [torch.zeros(1, 3, 32, 32)])
    vit = build("timm_vit")
    with pytest.raises(ModelError, match="needs a loss: pass batches with labels"):
        calibrate(vit, [example(vit)], gradients=True)
    with pytest.raises(ModelError, match="does not depend on any"):
        calibrate(vit, [example(vit)], gradients=True, loss=lambda output, batch: batch.sum())


@pytest.mark.parametrize("family", ["mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "converted"])
def test_mixtures_give_their_inputs_and_their_routing(family: str, build: Build) -> None:
    """Audit M13. Beside the choice of each token from the router's matrix alone; padding is excluded."""
    if family == "converted":
        model = convert(build("llama").double(), MoEConfig(num_experts=4, top_k=2, scale=1.0))
        routers = [block.mlp.router for block in model.model.layers]
    else:
        model = build(family).double()
        model.set_experts_implementation("eager")
        routers = [block.mlp.gate for block in model.model.layers]
    inputs: list[Tensor] = []
    for block in model.model.layers:
        block.mlp.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    tokens = ids(2, 6)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    calibration = calibrate(model, [{"input_ids": tokens, "attention_mask": mask}], max_tokens=6)
    assert calibration.document.tolist() == [0, 0, 0, 1, 1, 1]
    renormed = getattr(model.config, "norm_topk_prob", True)
    for sample, router, x in zip(calibration.samples, routers, inputs[-2:], strict=True):
        x_TD = x[mask.bool()][[0, 1, 3, 5, 6, 8]]  # 6 of 10 tokens, evenly spaced
        assert torch.equal(sample.x, x_TD) and sample.h.shape == (6, 0) and sample.dh is None
        chance, index = (x_TD @ router.weight.detach().T).softmax(-1).topk(2)
        if renormed:
            chance = chance / chance.sum(-1, keepdim=True)
        assert sample.index is not None and torch.equal(sample.index, index)
        torch.testing.assert_close(sample.weight.double(), chance, atol=1e-6, rtol=1e-5)


def test_a_model_that_is_converted_in_part(build: Build) -> None:
    """Its dense layers have gradients as ever, its mixtures have none; the rest can be converted with the samples."""
    model = convert(build("llama").double(), MoEConfig(num_experts=4, top_k=4, score="none", layers=(0,)))
    dense = calibrate(build("llama").double(), [ids(3, 5)], gradients=True, loss=squared)
    seen = calibrate(model, [ids(3, 5)], gradients=True, loss=squared)
    first, second = seen.samples
    assert first.dh is not None and first.dh.shape == (15, 0) and first.index.shape == (15, 4)
    assert second.index is None
    for name in ("x", "h", "dh"):
        torch.testing.assert_close(getattr(second, name), getattr(dense.samples[1], name))
    config = MoEConfig(num_experts=4, num_shared=1, top_k=1, split="residual", layers=(1,))
    convert(model, config, calibrate(model, [ids(3, 5)] * 2, gradients=True, loss=squared))
