"""Adapter tuning of ViT-S/16 at 224 pixels against HF PEFT on timm's model: steps of LoRA in turn, in one run.

Wanted of ours in bfloat16 (`half_frozen`, `use_product_attention`) on a processor with AVX-512 BF16: 1.3 times the
speed of PEFT under autocast and twice that of PEFT in float32, or the floor. The floor are the matrix products that no
step can do without, alone: forward, and backward to the inputs, of the frozen matrices and of the attention. All models
take as many steps on the same images, so that their losses are compared, too: rounding to bfloat16 may move ours as far
as it moves PEFT's. One thread by its own time, two by the wall clock.
"""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.attention.fast_attention import use_product_attention
from sparsebench.models.precision import half_frozen
from sparsebench.suites.contracts.freed_memory import freed_memory_kept
from sparsebench.suites.runner.identity.machine import fast_dtype

from .groups import Timed, Variant
from .rounds import CPU, WALL
from .scope import FULL

peft = pytest.importorskip("peft")

# Shapes: B images, T tokens of an image, D width, H heads, E size of a head, R = B T rows.

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(fast_dtype("cpu") != "bfloat16", reason="this processor multiplies bfloat16 no faster"),
]
B = 8 if FULL else 4
T, D, H, E, BLOCKS = 197, 384, 6, 64, 12
CLASSES, RANK, RATE = 100, 8, 1e-3
ROUNDS = 11 if FULL else 3
OURS, PLAIN = "sparsebench, bfloat16", "sparsebench, float32"
PEER, PEER_PLAIN = "peft, autocast", "peft, float32"
FLOOR = "matrix products"
ROLES = {PEER_PLAIN: "reference", PEER: "peer", PLAIN: "reference", OURS: "ours", FLOOR: "floor"}
WANTED = {PEER: 1.3, PEER_PLAIN: 2.0}
"""Times the speed of these."""
AT_FLOOR = 1.15
"""A step that takes at most so many times the floor has reached it."""
MATRICES = ((D, 3 * D), (D, D), (D, 4 * D), (4 * D, D))
"""Inputs and outputs of the frozen matrices of a block; the first one is before the attention."""


def vit() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("vit_small_patch16_224", num_classes=CLASSES)


def adapted(name: str) -> nn.Module:
    """LoRA of rank 8 and a trained head. PEFT has one pair over the fused qkv, ours one for q and one for v: as many
    parameters."""
    model = vit()
    if name in (PEER, PEER_PLAIN):
        config = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["qkv"], modules_to_save=["head"])
        return peft.get_peft_model(model, config).train()
    attach(model, LoRAConfig(r=RANK))
    if name == OURS:
        use_product_attention(half_frozen(model))
    return model.train()


def step(model: nn.Module, images: Tensor, losses: list[float], *, autocast: bool) -> Callable[[], None]:
    """A step of AdamW, which notes its loss."""
    labels = torch.arange(B) % CLASSES
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(model(images).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())

    return run


def products() -> Callable[[], None]:
    """The products of a step in bfloat16. Before the first adapter no gradient is wanted."""
    rows = {width: torch.randn(B * T, width).bfloat16() for width in {size for pair in MATRICES for size in pair}}
    blocks = [[torch.randn(out, inputs).bfloat16() for inputs, out in MATRICES] for _ in range(BLOCKS)]
    heads_BHTE = torch.randn(B, H, T, E).bfloat16()
    weights_BHTS = torch.randn(B, H, T, T).bfloat16()

    def run() -> None:
        for number, matrices in enumerate(blocks):
            for place, matrix in enumerate(matrices):
                F.linear(rows[matrix.shape[1]], matrix)
                if number > 0 or place > 0:
                    torch.mm(rows[matrix.shape[0]], matrix)
            for _ in range(2):  # the scores, and the gradient of their softmax
                heads_BHTE @ heads_BHTE.mT
            for _ in range(4):  # the result, and the gradients of query, key and value
                weights_BHTS @ heads_BHTE

    return run


@pytest.fixture(scope="module", params=[1, 2] if FULL else [1], ids=lambda count: f"{count} threads")
def count(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def losses(count: int) -> dict[str, list[float]]:
    """Of each step that was taken, the first one before any training."""
    return {name: [] for name in ROLES if name != FLOOR}


@pytest.mark.parametrize("name", ROLES)
def test_a_step_is_as_fast_as_wanted_or_at_the_floor(
    name: str, count: int, losses: dict[str, list[float]], compare: Callable[..., Timed], target: Any
) -> None:
    images = torch.randn(B, 3, 224, 224, generator=torch.Generator().manual_seed(0))

    def variant(name: str) -> Variant:
        if name == FLOOR:
            call = products()
        else:
            call = step(adapted(name), images, losses[name], autocast=name == PEER)
        return Variant(call=call, role=ROLES[name], facts={"rows": B * T})

    with freed_memory_kept():  # as in the training loop, and for all alike
        group = f"LoRA tuning of ViT-S/16 at 224 px, batch {B}, {count} threads"
        clock = CPU if count == 1 else WALL
        timed = compare(name, ROLES, variant, group=group, clock=clock, count=count, rounds=ROUNDS)
    if name != OURS:
        return
    over_floor = timed.times_as_fast(FLOOR, OURS)
    excuse = f"takes {over_floor:.2f} times its floor" if over_floor <= AT_FLOOR else None
    for against, wanted in WANTED.items():
        target(f"times as fast as {against}", timed.times_as_fast(OURS, against), at_least=wanted, excuse=excuse)


def test_the_losses_differ_by_the_rounding_of_bfloat16_only(losses: dict[str, list[float]]) -> None:
    """Of the steps that were timed above. At most twice as far from float32 as PEFT's under autocast, whose start is
    another one, and one per cent."""
    ours = [abs(half - plain) for half, plain in zip(losses[OURS], losses[PLAIN], strict=True)]
    theirs = [abs(half - plain) for half, plain in zip(losses[PEER], losses[PEER_PLAIN], strict=True)]
    start = losses[PEER_PLAIN][0]
    assert losses[PLAIN][0] == pytest.approx(start, rel=1e-4)  # adapters start as no change
    assert losses[PLAIN][-1] < 0.8 * start, "nothing was learned, so nothing was compared"
    assert max(ours) <= 2 * max(theirs) + 0.01 * start
