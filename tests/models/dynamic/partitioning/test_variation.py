"""The variance of the mixed weight, against mixing a weight for every input."""

import torch

from sparsebench.models.dynamic.partitioning.variation import variances
from sparsebench.models.sparsity.scoring import Evidence

from .toy import batches, loss, toy


def test_variance_is_that_of_the_weights_of_all_inputs():
    model = toy().train()
    found = variances([model[0], model[3]], Evidence(model=model, batches=batches(), loss_fn=loss), "variance")
    assert model.training and model[1].training, "as before"
    first = []
    second = []
    for batch in batches():
        first.append((model[0].mixing_coefficients(batch) @ model[0].bank.flatten(1)).view(-1, 6, 5))
        hidden = torch.tanh(model[0](batch))
        second.append((model[3].mixing_coefficients(hidden) @ model[3].bank.flatten(1)).view(-1, 3, 6))
    for effect, weights in zip(found, (first, second), strict=True):
        torch.testing.assert_close(effect, torch.cat(weights).detach().var(0, correction=0))
