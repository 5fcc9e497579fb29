"""`make gpu`: what only a GPU can say, into `reports/results/gpu/<card>.json`. Without one it says so and fails."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.moe import convert
from sparsebench.models.moe.experts.interface import register_experts
from sparsebench.models.moe.presets import preset

from .functions import CASES, largest_error
from .places import ROOT
from .roofline import SHAPES, Experts

OUT = ROOT / "reports" / "results" / "gpu"
TYPES = (torch.float32, torch.bfloat16)
PEERS = ("eager", "batched_mm", "grouped_mm", "sonicmoe")
"""Experts of transformers; the last takes a kernel of its own, which may not be there."""
ROUNDS = 10
PUBLISHED = "llama_moe_v1_4of16"
"""LLaMA-MoE 3.5B, 4 of 16, at its size and with random weights."""


def main() -> int:
    """The status: 1 where there is no GPU, or where something on it is wrong."""
    if not torch.cuda.is_available():
        sys.stderr.write("make gpu: there is no GPU here (`make device-audit` needs none)\n")
        return 1
    from .kernels import errors_of_kernels  # asks for Triton, which builds of torch for the CPU do not bring

    card = torch.cuda.get_device_name()
    found: dict[str, Any] = {"card": card, "torch": torch.__version__}
    found["functions"] = list(functions("cuda"))
    found["kernels"] = list(errors_of_kernels("cuda"))
    found["speed"] = list(speed("cuda", SHAPES))
    found["published scale"] = at_published_scale("cuda", llama_2_7b())
    found["smoke"] = smoke()
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{re.sub(r'[^a-z0-9]+', '-', card.lower())}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    bad = problems(found)
    sys.stderr.write("".join(f"{line}\n" for line in [*bad, f"{card}: {path.relative_to(ROOT)}"]))
    return int(bool(bad))


def problems(found: dict[str, Any]) -> list[str]:
    """What is wrong: results that are further off than their type rounds in some dozens of steps, and failed cells."""
    bad = []
    for row in [*found["functions"], *found["kernels"]]:
        eps = torch.finfo(getattr(torch, row["type"])).eps
        if not row["error"] <= 64 * eps:
            bad.append(f"{row.get('case', row.get('kernel'))}, {row['type']}: off by {row['error']:.1e}")
    if found["smoke"]:
        bad.append(f"the profile smoke ended with {found['smoke']}")
    return bad


def functions(device: str) -> Iterator[dict[str, Any]]:
    """Our autograd functions and the README's ten lines there and on the CPU."""
    for name, case in CASES.items():
        for dtype in TYPES:
            error = largest_error(case(device, dtype), case("cpu", dtype))
            yield {"case": name, "type": str(dtype).removeprefix("torch."), "error": error}


def speed(device: str, shapes: Sequence[Experts]) -> Iterator[dict[str, Any]]:
    """Milliseconds of a stock mixture with each implementation of its experts, forward and with a gradient."""
    for shape in shapes:
        for dtype in TYPES:
            mixture, x_1TD = _mixture(shape, device, dtype)
            for name in (register_experts(), *PEERS):
                row = {**shape.__dict__, "type": str(dtype).removeprefix("torch."), "experts by": name}
                yield {**row, **_timed(mixture, x_1TD, name)}


def _mixture(shape: Experts, device: str, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {"hidden_size": shape.width, "intermediate_size": shape.hidden, "num_local_experts": shape.experts}
    few = {"num_hidden_layers": 1, "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": 8}
    with torch.device(device):
        model = MixtralForCausalLM(MixtralConfig(**sizes, **few, num_experts_per_tok=shape.top_k)).to(dtype)
        return model, torch.randn(1, shape.tokens, shape.width, dtype=dtype)


def _timed(model: Any, x_1TD: Tensor, name: str) -> dict[str, Any]:
    try:
        model.set_experts_implementation(name)
        mixture = model.model.layers[0].mlp

        def forward() -> None:
            with torch.no_grad():
                mixture(x_1TD)

        def step() -> None:
            mixture(x_1TD)[0].sum().backward()

        return {"forward ms": _milliseconds(forward, x_1TD.device), "step ms": _milliseconds(step, x_1TD.device)}
    except Exception as error:  # a peer's kernel may be missing in many ways; the table says which
        return {"not run": f"{type(error).__name__}: {error}".splitlines()[0]}


def _milliseconds(call: Callable[[], None], device: torch.device) -> float:
    """The median of some rounds, after as many that are not counted."""
    taken = []
    for _ in range(2 * ROUNDS):
        _wait(device)
        started = perf_counter()
        call()
        _wait(device)
        taken.append(1e3 * (perf_counter() - started))
    return statistics.median(taken[ROUNDS:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def llama_2_7b() -> Any:
    """The configuration that LLaMA-MoE v1 converts."""
    from transformers import LlamaConfig

    return LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)


def at_published_scale(device: str, config: Any, tokens: int = 2048) -> dict[str, Any]:
    """Tokens a second of the dense model and of the mixture that is made of it, forward in bfloat16."""
    from transformers import LlamaForCausalLM

    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
        ids = torch.randint(0, config.vocab_size, (1, tokens))

    @torch.no_grad()
    def forward() -> None:
        model(ids)

    dense = 1e3 * tokens / _milliseconds(forward, ids.device)
    convert(model, preset(PUBLISHED))
    sparse = 1e3 * tokens / _milliseconds(forward, ids.device)
    return {"row": PUBLISHED, "tokens": tokens, "dense tokens/s": dense, "mixture tokens/s": sparse}


def smoke() -> int:
    """The status of the profile `smoke` on the GPU; its records are in `results/gpu`."""
    program = Path(sys.executable).parent / "sparsebench"
    options = ["--profile", "smoke", "--device", "cuda", "--out", str(ROOT / "results" / "gpu")]
    return subprocess.run([program, "run", *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
