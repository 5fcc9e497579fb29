"""What can be dynamic in part: a layer, or an attention of ODConv; how a partition comes into it and out of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..state_loading import PreparesLoading, Problems
from .mode_partition import LEARNT, ModePartition, Scale, scale_of


class PartiallyDynamic(PreparesLoading):
    """A module with a weight of shape `weight_shape` that depends on the input, all of it or, with `partition`, a part.

    A dynamic layer is one, and so is an attention vector of ODConv. Where `partition` is None all is dynamic.

    A state dict with a partition loads into a module without one, which then gets it (make the optimizer afterwards),
    so that the network computes what the saved one did; what that leaves unused has no gradient. What a state has for a
    part that is not there is unexpected.
    """

    partition: ModePartition | None

    def __init__(self) -> None:
        super().__init__()
        self.register_module("partition", None)

    @property
    def weight_shape(self) -> torch.Size:
        """Shape S of the weight that one sample uses."""
        raise NotImplementedError

    def static_start(self) -> Tensor:
        """(*S) what the static weight starts from unless another is given: what the dynamic one is on average."""
        raise NotImplementedError

    def set_partition(self, mask: Tensor | None = None, static: Tensor | None = None, scale: Scale = "both") -> None:
        """Make the layer partially dynamic, or change its partition. Make the optimizer afterwards.

        Args:
            mask: boolean (*S), True where it is dynamic; None: all.
            static: (*S), the static weight; None: `static_start()`.
            scale: which scale factors train (`ModePartition`).

        Raises:
            ModelError: a shape that is not S; the layer is as it was then.
        """
        start = self.static_start().detach()
        if static is None:
            static = start
        if mask is None:
            mask = torch.ones(self.weight_shape, dtype=torch.bool)
        if static.shape != self.weight_shape:
            raise ModelError(f"static weight {tuple(static.shape)} for a weight of {tuple(self.weight_shape)}")
        self.partition = ModePartition(mask.to(start.device), static.to(start), scale)

    def prepare_loading(
        self, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any], problems: Problems
    ) -> None:
        """Get the partition that a state has."""
        # torch passes over keys below a child that is None in silence, strict or not.
        if self.partition is None and self._modules.get("compact") is None:
            self._build_partition(state, f"{prefix}partition.", problems.errors)
        for name, child in self._modules.items():
            if child is None:
                problems.unexpected.extend(key for key in state if key.startswith(f"{prefix}{name}."))

    def _build_partition(self, state_dict: Mapping[str, Any], below: str, error_msgs: list[str]) -> None:
        """The partition that a state has, if it has one; its values are loaded by torch afterwards."""
        own = {key.removeprefix(below): value for key, value in state_dict.items() if key.startswith(below)}
        if not own:
            return
        lacking = {"mask", "static", "scale_code"} - own.keys()
        if lacking:
            error_msgs.append(
                f"{below.rstrip('.')} cannot be built without {', '.join(sorted(lacking))}: call "
                "set_partition(scale=...) of the layer before, as the saved one had it"
            )
            return
        try:
            self.set_partition(own["mask"], own["static"], scale_of(own["scale_code"]))
        except ModelError as error:
            error_msgs.append(f"{below.rstrip('.')}: {error}")
            return
        if self.partition is not None and not self.partition.mask.is_meta:
            self.freeze_unused()

    def freeze_unused(self) -> int:
        """Take the gradient off `unused_parameters`; how many had one."""
        frozen = 0
        for parameter in self.unused_parameters():
            frozen += parameter.requires_grad
            parameter.requires_grad_(False)
        return frozen

    def used_weight(self, dynamic: Tensor) -> Tensor:
        """The used weights, from the dynamic ones (..., *S)."""
        if self.partition is None:
            return dynamic
        return self.partition.used_weight(dynamic)

    def unused_parameters(self) -> list[nn.Parameter]:
        """What no output depends on with the partition that there is: one mode has no entry, or a factor is fixed."""
        partition = self.partition
        if partition is None:
            return []
        ratio, scale = partition.ratio, partition.scale
        idle: list[nn.Parameter] = []
        if ratio == 1 or scale == "pruned":
            idle.append(partition.static)
        if scale not in LEARNT or (ratio == 1 and scale == "static") or (ratio == 0 and scale == "dynamic"):
            idle.append(partition.phi)
        if ratio == 0:
            idle += self.dynamic_alone()
        return idle

    def dynamic_alone(self) -> list[nn.Parameter]:
        """Parameters that nothing but the dynamic part depends on."""
        return []
