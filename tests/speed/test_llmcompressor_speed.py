"""Compression of the small trained Mixtral beside llmcompressor: loss on held-out text, and CPU seconds, in one run.

llmcompressor is optional, and wants transformers up to 5.17 (its release 0.14): `pip install llmcompressor` in an
environment of its own. It goes block by block, too; its experts are linear layers one by one. One thread.

Its release 0.14 runs the traced blocks of this model without their causal mask, whether the rows come with a mask or
not (how trace and run came apart: vllm-project/llm-compressor, pull request 3180): calibration tokens see those that
follow. So ours gets a mask that hides nothing here, and both look at the same activations.
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, quantise
from sparsebench.models.compression.slimming.pruning import PruningConfig, prune
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.suites.llm.backbones import small_mixture
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

llmcompressor: Any = pytest.importorskip(
    "llmcompressor", reason="llmcompressor is not installed: it needs an environment of its own", exc_type=ImportError
)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]
LIBRARY = Path(copy.__file__).parent
CALIBRATION = ("argparse.py", "typing.py", "ast.py", "inspect.py", "dataclasses.py")
HELD_OUT = ("tarfile.py", "zipfile.py")
LENGTH = 512
ROUNDING = 1e-5
"""Nats of a token: the same decisions give the same loss but for the order of sums."""
EXPERTS = ["re:.*experts.*_proj$"]
GRID = Grid(bits=3, group_size=32)


def windows(files: tuple[str, ...], count: int) -> Tensor:
    """Text of the standard library, byte by byte (count, 512)."""
    text = "".join((LIBRARY / file).read_text(encoding="utf-8") for file in files)
    ids = byte_tokenizer()(text, add_special_tokens=False)["input_ids"]
    return torch.tensor(ids[: count * LENGTH]).view(count, LENGTH)


def batches() -> list[dict[str, Tensor]]:
    """Every token sees every other, as in llmcompressor's calibration."""
    nothing_hidden = torch.zeros(4, 1, LENGTH, LENGTH)
    return [{"input_ids": ids, "attention_mask": nothing_hidden} for ids in windows(CALIBRATION, 16).split(4)]


@torch.no_grad()
def loss(model: Any) -> float:
    """Nats of a token of held-out text."""
    ids = windows(HELD_OUT, 32)
    total = 0.0
    for part in ids.split(8):
        logits = model.eval()(input_ids=part).logits[:, :-1].float()
        total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum"))
    return total / ids[:, 1:].numel()


def ours(name: str, model: Any) -> None:
    if name == "REAP":
        expert_drop(model, mixture_statistics(model, batches()), 6, score="reap_renormalised")
    elif name == "Wanda":
        prune(model, PruningConfig(method="wanda", pattern="row"), batches())
    elif name == "SparseGPT":
        prune(model, PruningConfig(method="sparsegpt"), batches())
    else:
        quantise(model, QuantiseConfig(method="gptq", grid=GRID), batches())


def recipe(name: str) -> list[Any]:
    from llmcompressor.modifiers.gptq import GPTQModifier  # pyright: ignore[reportMissingImports]
    from llmcompressor.modifiers.pruning import (  # pyright: ignore[reportMissingImports]
        REAPPruningModifier,
        SparseGPTModifier,
        WandaPruningModifier,
    )

    weights = {"num_bits": 3, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
    made: dict[str, Callable[[], Any]] = {
        "REAP": lambda: REAPPruningModifier(sparsity=0.25),
        "Wanda": lambda: WandaPruningModifier(sparsity=0.5, targets=EXPERTS),
        "SparseGPT": lambda: SparseGPTModifier(sparsity=0.5, targets=EXPERTS),
        "GPTQ": lambda: GPTQModifier(config_groups={"experts": {"targets": EXPERTS, "weights": weights}}),
    }
    return [made[name]()]


def theirs(name: str, model: Any) -> None:
    from torch.utils.data import DataLoader

    rows = [{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in windows(CALIBRATION, 16)]
    llmcompressor.oneshot(
        model=model,
        recipe=recipe(name),
        dataset=DataLoader(rows, batch_size=4),
        tokenizer=byte_tokenizer(),
        num_calibration_samples=len(rows),
        moe_calibrate_all_experts=False,
    )


SAME = ("REAP", "Wanda")
"""Both choose by the same formula, so that the same weights go."""


@pytest.mark.parametrize("name", ["REAP", "Wanda", "SparseGPT", "GPTQ"])
def test_not_slower_and_no_worse(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(tmp_path)  # it writes a log where it runs
    mine: Any = small_mixture.load(torch.Generator()).model.float()
    mine.save_pretrained(tmp_path / "model")
    other: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    ours(name, copy.deepcopy(mine))
    start = time.process_time()
    ours(name, mine)
    taken = time.process_time() - start
    theirs(name, copy.deepcopy(other))
    start = time.process_time()
    theirs(name, other)
    target("CPU seconds", taken, at_most=time.process_time() - start)
    assert loss(mine) <= loss(other) + ROUNDING
    if name in SAME:
        assert loss(mine) == pytest.approx(loss(other), abs=ROUNDING)
