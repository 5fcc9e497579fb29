"""What a fresh process sees of a folder that `save_pretrained` wrote: loss, memory, prefill and decoding.

It runs as `python -m`, reads a `Request` in JSON from its standard input and writes a `Seen` in JSON to its output.
"""

import gc
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.native.forms import by_rules

from ...contracts.costs import memory

REPEATS = 3

# Shapes: N windows, T tokens.


@dataclass(frozen=True)
class Request:
    """The folder, tokens (N, T) whose loss is asked for, and what is timed: prompts of `lengths` tokens, which are the
    first ones of the first window, each continued by `new_tokens`."""

    folder: str
    windows: list[list[int]]
    lengths: list[int]
    new_tokens: int
    threads: int
    device: str


@dataclass(frozen=True)
class Seen:
    """Nats of each window (all its predicted tokens); bytes of memory that the model takes once it is loaded and has
    read the windows, and at the most on the way there (None where the system does not say); tokens per second by length
    of the prompt. Seconds are CPU seconds of the process on a CPU, else those of the clock on the wall."""

    nats: list[float]
    resident_bytes: int | None
    peak_bytes: int | None
    prefill: dict[int, float]
    decode: dict[int, float]


def measure(request: Request) -> Seen:
    """Load the folder and measure. Raises RuntimeError where the files do not hold just the model's tensors."""
    import sparsebench.models.moe  # noqa: F401 - tells transformers about converted models

    torch.set_num_threads(request.threads)
    before = memory("VmRSS")
    model = load(request.folder).to(request.device).eval()
    ids_NT = torch.tensor(request.windows, device=request.device)
    with torch.inference_mode():
        nats = [window_nats(model, ids_T) for ids_T in ids_NT]
        gc.collect()
        resident = _above(memory("VmRSS"), before)
        peak = _above(memory("VmHWM"), before)
        prefill = {}
        decode = {}
        with by_rules(False):  # the fastest forms, as a user has them
            for length in request.lengths:
                prompt_1T = ids_NT[:1, :length]
                took = seconds(lambda prompt=prompt_1T: model(prompt, use_cache=True), request.device)
                prefill[length] = length / took
                decode[length] = 1 / decoding_seconds(model, prompt_1T, request.new_tokens, request.device)
    return Seen(nats, resident, peak, prefill, decode)


def load(folder: str) -> Any:
    """The model of a folder, quantised ones in our own form.

    Args:
        folder: the folder.

    Raises:
        RuntimeError: a tensor is missing or unknown: transformers would draw one.
    """
    from transformers import AutoModelForCausalLM

    from sparsebench.models.compression.quantisation import packed_weights as packed_weights  # registers the part
    from sparsebench.models.hub.loading import load as load_own
    from sparsebench.models.hub.own_folders import is_own_folder

    if is_own_folder(folder):
        return load_own(folder)

    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    model, found = loaded
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[problem]:
            raise RuntimeError(f"{problem} in the saved model: {sorted(map(str, found[problem]))[:3]}")
    return model


def window_nats(model: nn.Module, ids_T: Tensor) -> float:
    """Negative log-likelihood of the tokens of a window after the first, in nats."""
    logits_TV = model(input_ids=ids_T[None], use_cache=False).logits[0, :-1].float()
    return float(nn.functional.cross_entropy(logits_TV, ids_T[1:], reduction="sum"))


def decoding_seconds(model: nn.Module, prompt_1T: Tensor, new_tokens: int, device: str) -> float:
    """Median seconds of a token of greedy decoding after a prompt, with a cache."""
    out = model(prompt_1T, use_cache=True)
    taken = []
    for _ in range(new_tokens):
        token_11 = out.logits[:, -1:].argmax(-1)
        start = _now(device)
        out = model(token_11, cache=out.cache, use_cache=True)
        taken.append(_now(device) - start)
    return statistics.median(taken)


def seconds(work: Callable[[], object], device: str) -> float:
    """Median seconds of a run of `work`, after one to warm up."""
    work()
    taken = []
    for _ in range(REPEATS):
        start = _now(device)
        work()
        taken.append(_now(device) - start)
    return statistics.median(taken)


def _above(now: int | None, before: int | None) -> int | None:
    if now is None or before is None:
        return None
    return now - before


def _now(device: str) -> float:
    """CPU seconds, which other processes on the machine disturb little; on an accelerator, once it is done."""
    if device == "cpu":
        return process_time()
    torch.accelerator.synchronize()
    return perf_counter()


if __name__ == "__main__":
    seen = measure(Request(**json.load(sys.stdin)))
    json.dump(asdict(seen), sys.stdout)
