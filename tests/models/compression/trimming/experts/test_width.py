"""Narrower experts: scores against the errors that they stand for, saving in every way, and what is refused."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression import Grid, QuantiseConfig, expert_drop, quantise
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.width import kept_neurons, narrow_experts, neuron_scores, width_of
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError

from ...quantisation.models import fingerprints
from ...slimming.mixtures import FUSED, batches, calls_of, mixture, output


def seen_of(name: str, model: nn.Module) -> list[Any]:
    return mixture_statistics(model, batches(name), moments=True)


@pytest.mark.parametrize("name", ["mixtral", "gpt_oss", "converted"])
def test_a_score_is_the_squared_error_without_the_neuron(name: str) -> None:
    """Of the expert's own output, summed over its tokens: what the neuron adds through the down projection."""
    model = mixture(name)
    (one, *_), (seen, *_) = mixtures_of(model), seen_of(name, model)
    scores = neuron_scores(one.experts, seen)
    inputs = calls_of(one.experts, model, batches(name))
    expert = int(seen.counts.argmax())
    rows = []
    for (x, index, _), batch in zip(inputs, batches(name), strict=True):
        real = batch["attention_mask"].bool().flatten()
        rows.append(x[real & (index == expert).any(-1)])
    hidden = one.experts.hidden(expert, torch.cat(rows)).detach()
    down = one.experts.weights(expert).down.detach()
    for neuron in (0, 5):
        error = torch.outer(hidden[:, neuron], down[:, neuron]).square().sum().item()
        assert float(scores[expert][neuron]) == pytest.approx(error, rel=1e-4)


def test_which_neurons_stay() -> None:
    scores = [torch.tensor([1.0, 3.0, 2.0, 3.0]), torch.tensor([5.0, 0.0])]
    # The largest expert keeps two; the smaller one the same share. Of equal scores the first stays.
    assert [kept.tolist() for kept in kept_neurons(scores, 2)] == [[1, 3], [0]]
    assert [kept.tolist() for kept in kept_neurons(scores, 4)] == [[0, 1, 2, 3], [0, 1]]
    for width in (0, 5, True, 1.5):
        with pytest.raises(ModelError, match=rf"width={width} must be a whole number of 1 to 4"):
            kept_neurons(scores, width)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FUSED)
def test_all_of_them_changes_no_bit(name: str) -> None:
    model = mixture(name)
    before = fingerprints(model)
    narrow_experts(model, seen_of(name, model), {one.block.index: width_of(one.experts) for one in mixtures_of(model)})
    assert fingerprints(model) == before


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe", "gpt_oss", "deepseek_v3", "granite", "converted"])
def test_it_shrinks_and_loads_again(name: str, tmp_path: Any) -> None:
    """Fewer neurons in one block, unequal experts in all: saved as it is, and quantised."""
    model: Any = mixture(name)
    data = batches(name)
    before = stored_bytes(model)
    last = mixtures_of(model)[-1].block.index
    narrow_experts(model, seen_of(name, model), {last: 8})
    seen = seen_of(name, model)
    numbers = [3] * len(seen)
    numbers[0] = 2
    expert_drop(model, seen, numbers, score="frequency")
    assert stored_bytes(model) < before and torch.isfinite(output(model, data[0])).all()
    model.save_pretrained(tmp_path / "dense")
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "dense").eval()
    assert [width_of(one.experts) for one in mixtures_of(loaded)] == [
        width_of(one.experts) for one in mixtures_of(model)
    ]
    torch.testing.assert_close(output(loaded, data[0]), output(model, data[0]), rtol=0, atol=0)
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=4, group_size=16)))
    save(model, tmp_path / "packed")
    opened = load(tmp_path / "packed")
    assert [one.experts.num_experts for one in mixtures_of(opened)] == numbers
    torch.testing.assert_close(output(opened, data[0]), output(model, data[0]), rtol=0, atol=0)


def test_what_is_refused_changes_nothing() -> None:
    model = mixture("mixtral")
    seen = seen_of("mixtral", model)
    before = fingerprints(model)
    for widths, message in (
        ({0: 24, 7: 8}, r"blocks \[7\] have no mixture; those with one are \[0, 1\]"),
        ({1: 0}, "width=0"),
    ):
        with pytest.raises(ModelError, match=message):
            narrow_experts(model, seen, widths)
    with pytest.raises(ModelError, match="no moments of its neurons"):
        narrow_experts(model, mixture_statistics(model, batches("mixtral")), {0: 24})
    assert fingerprints(model) == before
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=4, group_size=16)))
    with pytest.raises(ModelError, match="is quantised: take neurons out before that"):
        narrow_experts(model, seen, {0: 24})
    assert describe(model).blocks[0].mlp.hidden == 48  # type: ignore[union-attr]
