"""Neurons leave experts: in every layout the rest computes what it computed without them."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Experts, Site, describe
from sparsebench.models.anatomy.experts import ExpertWeights
from sparsebench.models.anatomy.narrowing import checked_neurons, stacked
from sparsebench.models.errors import ModelError

from ..compression.slimming.mixtures import BUILDERS, batches, mixture, output


def experts_of(model: nn.Module) -> list[Experts]:
    found = []
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            found.append(block.mlp.experts)
    return found


def chosen(experts: Experts) -> list[Tensor]:
    """Half of the neurons of each expert, other ones in each, not in order."""
    generator = torch.Generator().manual_seed(2)
    sizes = [experts.weights(expert).up.shape[0] for expert in range(experts.num_experts)]
    return [torch.randperm(size, generator=generator)[: size // 2] for size in sizes]


@torch.no_grad()
def silenced(experts: Experts, kept: list[Tensor]) -> None:
    """Neurons that do not stay read nothing into the down projection."""
    for expert, neurons in enumerate(kept):
        own = experts.weights(expert)
        gone = torch.ones(own.up.shape[0], dtype=torch.bool)
        gone[neurons] = False
        own.down[:, gone] = 0


@pytest.mark.parametrize("name", BUILDERS)
def test_the_rest_computes_what_it_computed(name: str) -> None:
    model = mixture(name)
    twin = mixture(name)
    for experts, others in zip(experts_of(model), experts_of(twin), strict=True):
        kept = chosen(experts)
        before = [tuple(part.clone() for part in experts.weights(e) if part is not None) for e in range(len(kept))]
        silenced(others, kept)
        experts.keep_neurons(kept)
        for expert, neurons in enumerate(kept):
            own = experts.weights(expert)
            assert own.up.shape[0] == own.down.shape[1] == len(neurons)
            left = [part for part in own if part is not None]
            for part, old in zip(left, before[expert], strict=True):
                if part is own.down:
                    old = old[:, neurons]
                elif part is not own.down_bias:
                    old = old[neurons]
                torch.testing.assert_close(part, old, rtol=0, atol=0)
    assert sum(value.numel() for value in model.parameters()) < sum(value.numel() for value in twin.parameters())
    for batch in batches(name):
        torch.testing.assert_close(output(model, batch), output(twin, batch), rtol=1e-5, atol=1e-5)


def test_converted_experts_know_their_neurons() -> None:
    model = mixture("converted")
    block = describe(model).blocks[0]
    assert block.mlp is not None and block.mlp.experts is not None
    layer = block.mlp.site.get()
    sizes = list(layer.experts.sizes)
    shared = len(layer.neurons) - sum(sizes)
    pieces = layer.neurons[shared:].split(sizes)
    kept = [torch.tensor([3, 1])] * len(sizes)
    block.mlp.experts.keep_neurons(kept)
    assert list(layer.experts.sizes) == [2] * len(sizes) and len(layer.neurons) == shared + 2 * len(sizes)
    for old, new in zip(pieces, layer.neurons[shared:].split(2), strict=True):
        assert torch.equal(new, old[kept[0]])
    again = describe(model).blocks[0].mlp
    assert again is not None and again.hidden == 2


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([torch.tensor([0])] * 3, "neurons of 3 experts were named, but there are 4"),
        ([torch.tensor([0])] * 3 + [torch.tensor([0, 0])], "expert 3 keeps different neurons of 0..47"),
        ([torch.tensor([48])] + [torch.tensor([0])] * 3, "expert 0 keeps different neurons of 0..47"),
        ([torch.tensor([], dtype=torch.int64)] + [torch.tensor([0])] * 3, "at least one, not"),
        ([torch.tensor([0, 1])] + [torch.tensor([0])] * 3, "keep equally many neurons each"),
    ],
)
def test_what_cannot_stay_changes_nothing(kept: list[Tensor], message: str) -> None:
    model = mixture("mixtral")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        experts_of(model)[0].keep_neurons(kept)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_layout_that_nobody_can_cut() -> None:
    class Hidden(Experts):
        def weights(self, expert: int) -> ExpertWeights:
            return ExpertWeights(None, torch.zeros(2, 3), torch.zeros(3, 2))

    with pytest.raises(ModelError, match="does not say where their neurons lie"):
        Hidden(num_experts=1, top_k=1, tensors=(), router=Site(nn.Module(), "router")).keep_neurons([torch.tensor([0])])


def test_indices() -> None:
    assert [index.tolist() for index in checked_neurons([torch.tensor([2, 0])], [3])] == [[2, 0]]
    assert stacked([torch.tensor([1]), torch.tensor([2])]).tolist() == [[1], [2]]
