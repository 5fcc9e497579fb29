from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.hooks import Documents, Picker, Recorder, first_input

MASK = torch.tensor([[1, 1, 0], [0, 1, 1]])


def test_picked_tokens_are_the_visible_ones_and_of_these_the_rows() -> None:
    x = torch.arange(6.0).view(2, 3, 1)
    assert Picker(None).tokens(x).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert Picker(MASK).tokens(x).flatten().tolist() == [0, 1, 4, 5]
    assert Picker(MASK, torch.tensor([1, 3])).tokens(x).flatten().tolist() == [1, 5]


def test_a_mask_of_another_shape_hides_nothing() -> None:
    assert Picker(MASK).visible(torch.zeros(2, 5, 4)).all()  # image tokens beside a text mask
    assert Picker(MASK).visible(torch.zeros(2, 3, 4)).tolist() == MASK.bool().tolist()
    causal = MASK.bool()[:, None, None] & torch.ones(3, 3).tril().bool()
    assert Picker(causal).visible(torch.zeros(2, 3, 4)).tolist() == MASK.bool().tolist()


def test_means_and_numbers_of_examples_over_batches() -> None:
    documents = Documents()
    final = torch.arange(12.0).view(2, 3, 2)
    documents.add(Picker(MASK, torch.tensor([0, 3])), final)
    documents.add(Picker(None), torch.ones(1, 2, 2, 2))  # tokens in a grid
    documents.add(Picker(None), torch.full((2, 2), 3.0))  # one token an example
    assert torch.cat(documents.token).tolist() == [0, 1, 2, 2, 2, 2, 3, 4]
    assert torch.cat(documents.embedding).tolist() == [[1, 2], [9, 10], [1, 1], [3, 3], [3, 3]]


def test_an_example_without_a_visible_token_has_a_mean_of_zero() -> None:
    documents = Documents()
    hidden = torch.full((1, 2, 3), torch.nan)
    documents.add(Picker(torch.zeros(1, 2)), hidden)
    assert documents.embedding[0].tolist() == [[0, 0, 0]] and not len(documents.token[0])


@pytest.mark.parametrize("gradients", [False, True])
def test_a_recorder_fills_its_sample_batch_by_batch(gradients: bool, build: Callable, example: Callable) -> None:
    model = build("llama").requires_grad_(False)
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None
    recorder = Recorder(mlp)
    recorder.gradients = gradients
    batch = example(model)
    rows = torch.tensor([0, 2])
    for _ in range(2):
        out = model(batch).logits
        assert recorder.hidden is not None and out.requires_grad == gradients
        slope = torch.autograd.grad(out.sum(), recorder.hidden)[0] if gradients else None
        recorder.take(Picker(None, rows), slope, total=4)
    sample = recorder.sample
    assert sample is not None and sample.x.shape == (4, 32) and sample.h.shape == (4, 50)
    assert torch.equal(sample.x[:2], sample.x[2:]) and (sample.dh is not None) == gradients
    module = mlp.site.get()
    torch.testing.assert_close(sample.h, module.act_fn(module.gate_proj(sample.x)) * module.up_proj(sample.x))
    recorder.remove()
    model(batch)
    assert recorder.input is None and recorder.hidden is None


def test_the_first_input_without_the_rest_of_the_pass() -> None:
    reached = []
    last = nn.Linear(2, 2)
    last.register_forward_hook(lambda *_: reached.append(True))
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), last)
    x = torch.ones(1, 2)
    assert torch.equal(first_input(model, model[1], lambda: model(x)), x)
    assert not reached and not model[1]._forward_pre_hooks
    with pytest.raises(RuntimeError, match="without its first feed-forward layer"):
        first_input(model, nn.Identity(), lambda: model(x))
