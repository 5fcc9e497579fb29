"""Label smoothing: the targets of each kind, and nothing else than the plain adapter at 0."""

import pytest
import torch
import torch.nn.functional as F

from sparsebench.suites.contracts.context import Target
from sparsebench.suites.llm.tasks.synthetic.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.pair.label_smoothing import LabelSmoothing, smoothed

from ...reasons import reason
from .pairs import GRAPHS, VITS


def test_the_target_is_a_mixture_with_the_uniform_distribution() -> None:
    method = LabelSmoothing(smoothing=0.3, init="normal")
    setup = VITS.setup(method)
    model = method.prepare(setup.model, setup.context)
    inputs, targets = setup.context.batches()[0]
    log_p = F.log_softmax(model(inputs), dim=-1)
    by_hand = -(0.7 * log_p[torch.arange(len(targets)), targets] + 0.3 * log_p.mean(-1)).mean()
    torch.testing.assert_close(method.loss(model, (inputs, targets), setup.context), by_hand)


def test_nothing_is_smoothed_at_zero() -> None:
    for pair in (VITS, GRAPHS):
        plain = pair.run(Adapter(rank=4, init="zero_up"))
        unsmoothed = pair.run(LabelSmoothing(rank=4, smoothing=0.0))
        assert unsmoothed.metrics == plain.metrics and unsmoothed.curves == plain.curves
        assert pair.run(LabelSmoothing(rank=4, smoothing=0.5)).curves != plain.curves


def test_labels_move_to_one_half_and_values_to_their_mean() -> None:
    given = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])
    found = smoothed(given, 0.2, Target("multilabel", 2))
    assert found[0].tolist() == pytest.approx([0.9, 0.1]) and found[1].isnan().tolist() == [True, False]
    assert smoothed(torch.tensor([[2.0]]), 0.2, Target("regression", 1)).item() == pytest.approx(1.6)


def test_where_there_are_no_labels() -> None:
    assert reason(SyntheticChoices, "llm", "tiny", LabelSmoothing()) == "this task has no feature vectors"
    with pytest.raises(ValueError, match="smoothing=1"):
        LabelSmoothing(smoothing=1.0)
    with pytest.raises(ValueError, match="rank=0"):
        LabelSmoothing(rank=0)
