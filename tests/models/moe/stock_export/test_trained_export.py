"""A mixture that was cut from a dense model and then trained is the same function in plain transformers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.models.moe import MoEConfig, aux_loss, convert, export

STEPS = 5
SCRIPT = """
import sys
from pathlib import Path


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sparsebench":
            raise ImportError("sparsebench is not installed here")


sys.meta_path.insert(0, Absent())
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

folder = Path(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(folder / "model")
ids = load_file(folder / "ids.safetensors")["ids"]
with torch.no_grad():
    logits = model(ids).logits
save_file({"logits": logits.contiguous()}, folder / "stock.safetensors")
try:
    import sparsebench
except ImportError:
    sys.exit(0)
sys.exit("sparsebench could be imported")
"""


@pytest.mark.parametrize(
    "config",
    [
        MoEConfig(num_experts=8, num_shared=3, top_k=1, router_init="random", score="none", scale="exact"),
        MoEConfig(num_experts=8, num_shared=2, top_k=2, router_init="random", balance="switch"),
    ],
    ids=["half of the neurons, equal weights", "a router that trains"],
)
def test_a_trained_mixture_has_the_same_logits(
    tmp_path: Path, build: Callable[[str], nn.Module], config: MoEConfig
) -> None:
    model: Any = convert(build("llama"), config)
    ids = torch.randint(model.config.vocab_size, (4, 12), generator=torch.Generator().manual_seed(1))
    untrained = logits_of(model, ids)
    train(model, ids)
    trained = logits_of(model, ids)
    assert (trained - untrained).abs().max() > 0.1

    assert export(model, tmp_path / "model") == "GraniteMoeSharedForCausalLM"
    save_file({"ids": ids}, tmp_path / "ids.safetensors")
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path)]
    # Away from the tree, whose root would be found first.
    subprocess.run(command, check=True, timeout=120, cwd=tmp_path)
    stock = load_file(tmp_path / "stock.safetensors")["logits"]
    torch.testing.assert_close(stock, trained, atol=1e-5, rtol=1e-5)


def logits_of(model: Any, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(ids).logits


def train(model: Any, ids: Tensor) -> None:
    """Some steps on the next token, with the balance loss of the routers."""
    model.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        loss = model(input_ids=ids, labels=ids).loss + aux_loss(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
