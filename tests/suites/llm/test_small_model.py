"""The small trained backbone and the script that made it."""

from pathlib import Path

import pytest
import torch

from sparsebench.suites.llm import small_model
from sparsebench.suites.llm.backbones import small_llama
from sparsebench.suites.llm.bits_per_byte import window_bits
from sparsebench.suites.llm.language import encode

TEXT = "The President shall, at stated times, receive for his services a compensation. "


def test_the_published_weights_have_learnt_english() -> None:
    lm = small_llama.load(torch.Generator())
    ids = torch.tensor([encode(lm.tokenizer, TEXT)])
    assert window_bits(lm.model.float(), ids, 1)[0] / len(TEXT) < 3.5  # a uniform guess needs 8
    assert sum(p.numel() for p in lm.model.parameters()) == 1_017_088


def test_two_loads_are_equal_and_the_file_is_small() -> None:
    first, again = (small_llama.load(torch.Generator()).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert small_llama.WEIGHTS.stat().st_size < 2**21


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "small_llama.safetensors"
    other.write_bytes(b"other")
    monkeypatch.setattr(small_llama, "WEIGHTS", other)
    with pytest.raises(ValueError, match="reinstall"):
        small_llama.load(torch.Generator())


def test_windows_lie_in_one_domain_and_training_learns() -> None:
    domains = [torch.full((4000,), token) for token in (5, 9)]
    windows = next(small_model.batches(domains, torch.Generator().manual_seed(0)))
    assert windows.shape == (small_model.BATCH, small_model.CONTEXT)
    assert all(len(row.unique()) == 1 for row in windows)
    state = torch.random.get_rng_state()
    model = small_model.train(domains, steps=3)
    torch.random.set_rng_state(state)
    bits = small_model.held_out_bits(model, [domains[0]] * 7)
    assert bits["code"] < 7.5
