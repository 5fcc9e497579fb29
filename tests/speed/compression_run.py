"""One piece of compression in a process of its own: seconds, the most memory, and forward passes of the same tokens.

It runs as `python compression_run.py`, reads a `Task` in JSON from its standard input and writes a `Taken` in JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.slimming.pruning import PruningConfig, prune
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.counting import flops
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.contracts.costs import memory

EXPERTS, TOP_K, KEEP = 8, 2, 6


@dataclass(frozen=True)
class Task:
    """`model`: "smollm2" or "small"; `work`: "REAP Expert Drop" or "SparseGPT"; tokens in batches of so many rows."""

    model: str
    work: str
    rows: int
    length: int
    batch: int
    threads: int


@dataclass(frozen=True)
class Taken:
    """Wall seconds of the forward passes without the head (before and after the work) and of the work; the same in CPU
    seconds of the process; operations of the forward passes; bytes: what the process held at most, what it held before
    the work, the weights."""

    forward: tuple[float, float]
    seconds: float
    forward_cpu: float
    work_cpu: float
    operations: int
    most: int | None
    before: int | None
    weights: int
    report: str


def load(name: str) -> Any:
    """A causal language model in float32, its FFNs cut into experts."""
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    if name == "smollm2":
        from sparsebench.data.weights import smollm2

        model = AutoModelForCausalLM.from_pretrained(smollm2(), dtype=torch.float32)
    else:
        shape: dict[str, Any] = {
            "hidden_size": 384,
            "intermediate_size": 1024,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
        }
        model = LlamaForCausalLM(LlamaConfig(**shape, num_hidden_layers=4, vocab_size=2048))
    return convert(model.eval(), MoEConfig(num_experts=EXPERTS, top_k=TOP_K))


def drop(model: nn.Module, batches: list[Any]) -> str:
    """Statistics of all experts, and the drop by REAP."""
    return str(expert_drop(model, mixture_statistics(model, batches), KEEP, score="reap"))


def sparsegpt(model: nn.Module, batches: list[Any]) -> str:
    """Half of the weights of each expert."""
    return str(prune(model, PruningConfig(method="sparsegpt"), batches))


WORK: dict[str, Callable[[nn.Module, list[Any]], str]] = {"REAP Expert Drop": drop, "SparseGPT": sparsegpt}


def forward(model: Any, batches: list[Any]) -> float:
    """Seconds of one pass of all batches through the blocks."""
    start = time.perf_counter()
    with torch.no_grad():
        for batch in batches:
            model.model(**batch, use_cache=False)
    return time.perf_counter() - start


def drawn(task: Task, vocabulary: int) -> list[dict[str, Tensor]]:
    """Batches of tokens without padding. Which tokens they are does not matter to the clock."""
    ids = torch.randint(vocabulary, (task.rows, task.length), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": part, "attention_mask": torch.ones_like(part)} for part in ids.split(task.batch)]


def measure(task: Task) -> Taken:
    """Do the work once."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    model = load(task.model)
    batches = drawn(task, model.config.vocab_size)
    # One row more than needed to warm up: kernels are loaded, and memory is there.
    forward(model, batches[:1])
    before = memory("VmRSS")
    forward_cpu = time.process_time()
    first = forward(model, batches)
    forward_cpu = time.process_time() - forward_cpu
    work_cpu = time.process_time()
    start = time.perf_counter()
    report = WORK[task.work](model, batches)
    seconds = time.perf_counter() - start
    work_cpu = time.process_time() - work_cpu
    most = memory("VmHWM")
    whole = load(task.model)
    last = forward(whole, batches)
    operations = flops(whole.model, **batches[0], use_cache=False) * len(batches)
    weights = sum(parameter.nbytes for parameter in whole.parameters())
    return Taken((first, last), seconds, forward_cpu, work_cpu, operations, most, before, weights, report)


if __name__ == "__main__":
    taken = measure(Task(**json.load(sys.stdin)))
    json.dump(asdict(taken), sys.stdout)
