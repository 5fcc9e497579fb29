"""GIST: what its loss is made of, what trains, and where it does not apply."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparsebench.models.adapters import adapter_sets
from sparsebench.models.adapters.kinds.gist_token import leaving_tokens
from sparsebench.models.distillation import TokenDistillation, token_logits
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.shared_parallel import SharedParallel
from sparsebench.suites.methods.pair.gist import Gist
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ...reasons import reason
from .pairs import VIT_AND_CNN, VITS, Pair


def prepared(**options: Any) -> tuple[nn.Module, Any, Any, Gist]:
    """The model, a batch, the context and the method."""
    method = Gist(**options)
    setup = VITS.setup(method)
    return method.prepare(setup.model, setup.context), setup.context.batches()[0], setup.context, method


def test_the_loss_is_that_of_the_release() -> None:
    model, batch, context, method = prepared(init="normal", dropout=0.0)
    with torch.no_grad(), leaving_tokens(model) as tokens:
        z = model(batch[0])
    g = token_logits(model, tokens)
    expected = F.cross_entropy(z, batch[1]) + 0.5 * F.cross_entropy(g, batch[1]) + TokenDistillation().term(z, g)
    torch.testing.assert_close(method.loss(model, batch, context), expected)
    plain = Gist(weight=0.0, token_weight=0.0, init="normal", dropout=0.0)
    torch.testing.assert_close(plain.loss(model, batch, context), F.cross_entropy(z, batch[1]))


def test_it_trains_the_token_the_adapters_and_the_head() -> None:
    """One parameter for each column more than its adapter alone, whose blocks it leaves as they are."""
    outcome, plain = VITS.run(Gist(learning_rate=0.02)), VITS.run(SharedParallel(learning_rate=0.02))
    assert outcome.training is not None and plain.training is not None
    assert outcome.training.params == plain.training.params + 32
    assert outcome.costs is not None and plain.costs is not None and outcome.costs.flops > plain.costs.flops
    model, *_ = prepared()
    sets = adapter_sets(model)
    assert list(sets) == ["token", "default"] and sets["token"].count() == 32


def test_on_a_vit_with_other_adapters() -> None:
    outcome = VITS.run(Gist(adapter="bottleneck", learning_rate=0.02))
    assert outcome.curves["train loss"][-1][1] > 0


def test_where_it_does_not_apply() -> None:
    assert reason(Blobs, "vtab", "tiny", Gist()) is None
    assert "does not see an image as tokens" in str(reason(Synthetic, "molecules", "tiny_encoder", Gist()))
    swapped = Pair("vtab", "synthetic", VIT_AND_CNN.teacher, VIT_AND_CNN.student)
    with pytest.raises(NotApplicable, match="image as tokens"):
        swapped.run(Gist())
    assert swapped.run(Adapter()).metrics


@pytest.mark.parametrize("options", [{"rank": 0}, {"dropout": 1.0}, {"weight": -1.0}, {"temperature": 0.0}])
def test_values_that_cannot_be(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Gist(**options)
