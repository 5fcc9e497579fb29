"""Several processes that train one model: sums over them, started by `torchrun` or `accelerate launch`."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, distributed, nn

BUCKET = 2**24
"""Numbers that are summed over the processes in one message."""


class Processes:
    """The processes of this training; of one process, all sums are the values themselves.

    Gradients are summed after the last batch of a step, not by a wrapper around the models: losses see the models as
    they are, several models need nothing more, and so do parameters that only some processes used (idle experts).
    """

    def __init__(self, device: torch.device) -> None:
        state = PartialState(cpu=device.type == "cpu")
        self.device = device
        self.count = state.num_processes
        self.rank = state.process_index
        self.main = state.is_main_process

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value, summed over the processes."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def from_main(self, value: object) -> Any:
        """What the main process has."""
        if self.count == 1:
            return value
        values = [value]
        broadcast_object_list(values)
        return values[0]

    def barrier(self) -> None:
        """Wait for all."""
        if self.count > 1:
            distributed.barrier()

    @torch.no_grad()
    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the tensors of the main one."""
        if self.count == 1:
            return
        for tensor in tensors:
            distributed.broadcast(tensor, 0)

    @torch.no_grad()
    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients over the processes; a parameter without one in all processes keeps none."""
        if self.count == 1:
            return
        has = torch.tensor([parameter.grad is not None for parameter in parameters], device=self.device).int()
        distributed.all_reduce(has, distributed.ReduceOp.MAX)
        gradients: list[Tensor] = []
        for parameter, used in zip(parameters, has.tolist(), strict=True):
            if used and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if used and parameter.grad is not None:
                gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    """Gradients of one type side by side, about `BUCKET` numbers each."""
    buckets: list[list[Tensor]] = []
    size = 0
    for gradient in gradients:
        same = bool(buckets) and buckets[-1][0].dtype == gradient.dtype
        if not same or size + gradient.numel() > BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(gradient)
        size += gradient.numel()
    return buckets
