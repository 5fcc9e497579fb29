"""The small trained backbone and the script that made it."""

from pathlib import Path

import pytest
import torch

from sparsebench.suites.llm.backbones import small_llama
from sparsebench.suites.llm.bits_per_byte.task import window_bits
from sparsebench.suites.llm.language.task import encode, next_token_loss
from sparsebench.suites.llm.small_models import llama
from sparsebench.suites.training.callbacks import TrainingState
from sparsebench.suites.training.checkpoint import OtherTrainingError
from sparsebench.suites.training.optimizer import warmup_cosine

TEXT = "The President shall, at stated times, receive for his services a compensation. "


def test_the_published_weights_have_learnt_english() -> None:
    lm = small_llama.load(torch.Generator())
    ids = torch.tensor([encode(lm.tokenizer, TEXT)])
    assert window_bits(lm.model.float(), ids, 1)[0] / len(TEXT) < 3.5  # a uniform guess needs 8
    assert sum(p.numel() for p in lm.model.parameters()) == 1_017_088


def test_two_loads_are_equal_and_the_file_is_small() -> None:
    first, again = (small_llama.load(torch.Generator()).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert (llama.WEIGHTS / "small_llama.safetensors").stat().st_size < 2**21


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "small_llama.safetensors"
    other.write_bytes(b"other")
    monkeypatch.setattr(llama, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="reinstall"):
        small_llama.load(torch.Generator())


def test_windows_lie_in_one_domain_and_training_learns() -> None:
    domains = [torch.full((4000,), token) for token in (5, 9)]
    windows = next(llama.batches(domains, torch.Generator().manual_seed(0)))
    assert windows.shape == (llama.BATCH, llama.CONTEXT)
    assert all(len(row.unique()) == 1 for row in windows)
    state = torch.random.get_rng_state()
    model = llama.train(domains, steps=3)
    torch.random.set_rng_state(state)
    bits = llama.held_out_bits(model, [domains[0]] * 7)
    assert bits["code"] < 7.5


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    monkeypatch.setattr(llama, "CONTEXT", 32)
    draws = torch.Generator().manual_seed(0)
    return [torch.randint(3, 200, (400,), generator=draws) for _ in range(2)]


def test_the_loop_by_hand_gives_the_same_bits(narrow: list[torch.Tensor]) -> None:
    trained = llama.train(narrow, steps=3)
    torch.manual_seed(llama.SEED)
    model = llama.small_llama().train()
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    scales = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": llama.WEIGHT_DECAY}, {"params": scales, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=llama.LEARNING_RATE, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, 3, llama.WARMUP))
    draw = llama.batches(narrow, torch.Generator().manual_seed(llama.SEED))
    for _ in range(3):
        ids_BT = next(draw)
        optimizer.zero_grad()
        next_token_loss(model, {"input_ids": ids_BT, "labels": ids_BT}).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), llama.CLIP)
        optimizer.step()
        schedule.step()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, trained.state_dict()[name]), name


def test_it_goes_on_after_a_stop_and_not_with_other_text(
    narrow: list[torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopError(RuntimeError):
        pass

    def stop(callback: llama.BitsPerByte, state: TrainingState) -> None:
        if state.step == 2 and list(tmp_path.rglob("step-*")):
            raise StopError

    whole = llama.train(narrow, 3)
    monkeypatch.setattr(llama, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(llama.BitsPerByte, "on_step", stop)
        with pytest.raises(StopError):
            llama.train(narrow, 3, tmp_path)
    with pytest.raises(OtherTrainingError, match="data is"):
        llama.train(narrow[::-1], 3, tmp_path)
    resumed = llama.train(narrow, 3, tmp_path)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_from_scratch_the_seed_decides_the_weights() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        small_llama.load(torch.Generator().manual_seed(seed), "scratch").model.state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    trained = small_llama.load(torch.Generator()).model.state_dict()
    assert {name: tensor.shape for name, tensor in first.items()} == {name: w.shape for name, w in trained.items()}
    for name in first:
        assert torch.equal(first[name], again[name])
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert not torch.equal(first["model.embed_tokens.weight"], trained["model.embed_tokens.weight"])


def test_another_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="scratch"):
        small_llama.load(torch.Generator(), "skratch")
