"""A stretch of GraphsGPT's training beside the plain way: random batches padded to their longest, single precision.

One thread, CPU time. Both do the same steps on the same molecules, forward, backward and AdamW; what differs is that
ours takes molecules of similar length together and computes in bfloat16 with attention by matrix products.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, TokenisedMolecules, Tokenizer, Vocabulary
from sparsebench.models.length_batches import length_batches

from .groups import Timed, Variant, of_model
from .scope import LONG

pytestmark = [
    LONG,
    pytest.mark.timeout(1800),
]
MOLECULES, BATCH = 1024, 64
SIZES = {"128 wide, 4 layers": (128, 4), "512 wide, 8 layers": (512, 8)}
PIECES = ("C", "CO", "CN", "C(=O)", "C(C)", "C(F)", "C(O)", "C1CC(C1)", "C1CCC(CC1)", "c1ccc(cc1)", "c1ccc(nc1)")
VARIANTS = {  # buckets, bfloat16, role
    "ours": (True, True, "ours"),
    "length buckets alone": (True, False, "reference"),
    "plain, padded, float32": (False, False, "peer"),
}


def molecules() -> TokenisedMolecules:
    """Chains of 3 to 7 pieces: as long as drug-like molecules are."""
    draw = np.random.default_rng(0)
    texts = ["C" + "".join(draw.choice(PIECES, size=draw.integers(3, 8))) + "C" for _ in range(MOLECULES)]
    return Tokenizer(Vocabulary.improved())(texts)


class Steps(nn.Module):
    """Some steps of training; called, one forward pass for the operations."""

    def __init__(self, width: int, layers: int, buckets: bool, half: bool, steps: int) -> None:
        super().__init__()
        config = GraphsGPTConfig.of(
            Vocabulary.improved(),
            num_words=4,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
        )
        self.model, self.half = GraphsGPT(config).train(), half
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        tokens, draw = molecules(), torch.Generator().manual_seed(0)
        random = torch.randperm(MOLECULES, generator=draw).split(BATCH)
        rows = length_batches(tokens.lengths, BATCH, draw) if buckets else [part.numpy() for part in random]
        self.batches = [tokens.batch(part) for part in rows[:steps]]
        self.tokens = sum(int(batch.lengths.sum()) for batch in self.batches)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(self.batches[0]).loss

    def run(self) -> None:
        for batch in self.batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                loss = self.model(batch).loss
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_training(variant: str, size: str, compare: Callable[..., Timed]) -> None:
    width, layers = SIZES[size]
    steps = MOLECULES // BATCH if width < 256 else 2

    def make(name: str) -> Variant:
        buckets, half, role = VARIANTS[name]
        work = Steps(width, layers, buckets, half, steps)
        return of_model(work.run, role, work, torch.zeros(1, 1), tokens=work.tokens, molecules=steps * BATCH)

    group = f"training of GraphsGPT, {size}, {steps} steps of {BATCH} molecules"
    compare(variant, VARIANTS, make, group=group)
