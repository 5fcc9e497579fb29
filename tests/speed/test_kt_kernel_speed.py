"""Our experts beside those of kt-kernel (KTransformers) in bfloat16: routes given, one thread, wall clock.

kt-kernel is optional: `pip install --no-deps kt-kernel`, for it pins another torch than ours. Its caller waits busily
beside the one worker, so CPU time would count it double; a worker for every core is many times slower with few tokens.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.moe.experts import ExpertBank

from .groups import Timed, Variant, of_model
from .moe_variants import Cell
from .rounds import WALL

kt = pytest.importorskip("kt_kernel", reason="kt-kernel is not installed", exc_type=ImportError).kt_kernel_ext
pytestmark = pytest.mark.skipif(not hasattr(kt.moe, "AMXBF16_MOE"), reason="kt-kernel needs AVX-512 for these experts")


class Routed(nn.Module):
    """Random experts and routes for so many tokens."""

    def __init__(self, cell: Cell, tokens: int) -> None:
        super().__init__()
        width, hidden, experts, top_k = cell
        generator = torch.Generator().manual_seed(0)
        gate_up = torch.randn(experts, 2 * hidden, width, generator=generator) * width**-0.5
        down = torch.randn(experts, width, hidden, generator=generator) * hidden**-0.5
        stacks = {"gate_up": gate_up.bfloat16(), "down": down.bfloat16()}
        self.bank = ExpertBank(sizes=[hidden] * experts, **stacks, bias=None, gated=True, activation=nn.SiLU())
        self.weight, self.index = torch.randn(tokens, experts, generator=generator).softmax(1).topk(top_k)

    def forward(self, x: Tensor) -> Tensor:
        return self.bank(x, self.index, self.weight)


class KTExperts:
    """The experts and routes of `Routed` in kt-kernel, which packs copies of the weights."""

    def __init__(self, cell: Cell, routed: Routed) -> None:
        pool = kt.WorkerPoolConfig()
        pool.subpool_count, pool.subpool_numa_map, pool.subpool_thread_count = 1, [0], [1]
        self.cpu, self.routed, self.rows = kt.CPUInfer(pool), routed, torch.tensor([len(routed.index)]).int()
        self.on_gpu, self.order = torch.zeros(cell.experts, dtype=torch.bool), torch.arange(cell.experts)
        config = kt.moe.MOEConfig(cell.experts, cell.top_k, cell.width, cell.hidden, self.on_gpu.data_ptr())
        config.layer_idx, config.pool, config.max_len = 0, self.cpu.backend_, max(512, len(routed.index))
        gates, ups = routed.bank.gate_up.chunk(2, dim=1)
        for name, stack in ("gate", gates), ("up", ups), ("down", routed.bank.down):
            setattr(config, f"{name}_projs", [[expert.data_ptr() for expert in stack]])
            setattr(config, f"{name}_scales", [[0] * cell.experts])
        self.moe = kt.moe.AMXBF16_MOE(config)
        self.cpu.submit(self.moe.load_weights_task(self.order.data_ptr()))
        self.cpu.sync()

    def __call__(self, x: Tensor) -> Tensor:
        out, index = torch.empty_like(x), self.routed.index
        pointers = [tensor.data_ptr() for tensor in (index, self.routed.weight, x, out)]
        self.cpu.submit(self.moe.forward_task(self.rows.data_ptr(), index.shape[1], *pointers, False))
        self.cpu.sync()
        return out


ROLES = {"sparsebench": "ours", "kt-kernel": "peer"}


@pytest.mark.parametrize("tokens", [1, 64, 2048])
@pytest.mark.parametrize("cell", [Cell(1024, 352, 8, 2), Cell(2048, 352, 16, 4)], ids=str)
@pytest.mark.parametrize("name", ROLES)
@torch.no_grad()
def test_experts(name: str, cell: Cell, tokens: int, compare: Callable[..., Timed]) -> None:
    x = torch.randn(tokens, cell.width, generator=torch.Generator().manual_seed(1)).bfloat16()

    def variant(name: str) -> Variant:
        routed = Routed(cell, tokens)
        experts = KTExperts(cell, routed) if ROLES[name] == "peer" else routed
        assert (experts(x).float() - routed(x).float()).norm() < 1e-2 * routed(x).float().norm()
        return of_model(lambda: experts(x), ROLES[name], routed, x)

    group = f"MoE experts {cell}, {tokens} tokens, bfloat16, one thread"
    compare(name, ROLES, variant, group=group, clock=WALL)
