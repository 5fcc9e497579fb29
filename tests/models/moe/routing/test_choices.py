import torch

from sparsebench.models.moe.routing.choices import Routing


def test_the_routing_of_some_tokens_has_all_its_parts() -> None:
    index = torch.tensor([[0, 1], [2, 0], [1, 2]])
    parts = {name: torch.arange(9.0).view(3, 3) + at for at, name in enumerate(("logits", "noisy", "std", "passed"))}
    whole = Routing(index, index / 2, **parts)
    for tokens in (torch.tensor([True, False, True]), torch.tensor([0, 2])):
        some = whole.of(tokens)
        for name, part in some._asdict().items():
            assert torch.equal(part, getattr(whole, name)[[0, 2]]), name


def test_what_is_not_there_stays_away() -> None:
    some = Routing(torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1), torch.ones(3, 2)).of(torch.tensor([1]))
    assert some.noisy is None and some.std is None and some.passed is None
    assert some.logits.shape == (1, 2)
