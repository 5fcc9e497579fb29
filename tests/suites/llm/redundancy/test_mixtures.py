"""Which mixtures there are, and that those that are made of the small Llama are what they say."""

import pytest
import torch

from sparsebench.models.counting import count_parameters
from sparsebench.suites.llm.redundancy import mixtures
from sparsebench.suites.llm.redundancy.mixtures import sources
from sparsebench.suites.llm.small_models import llama


def test_every_mixture_is_listed_once_with_its_origin() -> None:
    listed = list(sources())
    assert len({source.name for source in listed}) == len(listed)
    assert {source.origin for source in listed if not source.name.startswith("scratch")} == {"small_llama"}
    assert all(source.origin == source.name for source in listed if source.name.startswith("scratch"))


def test_a_mixture_is_made_of_the_small_llama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "CONTEXT", 16)
    tokens = torch.randint(3, 200, (2048,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(llama, "streams", lambda: ([tokens], [tokens]))
    monkeypatch.setattr(mixtures, "first_halves", lambda domains: [stream[:1024] for stream in domains])
    made = {source.name: source for source in sources(steps=1)}["4 copies, 2 chosen"].load()
    assert not made.training
    assert count_parameters(made).total > 2.5e6
