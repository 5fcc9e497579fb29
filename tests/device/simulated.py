"""A CUDA device that is not there: tensors that say they are on it, obey its rules, and hold their values on the CPU.

Each tensor on it is a `FakeTensor` of `cuda`, so that shapes, types and devices go through the rules that torch has for
CUDA; what it holds lies in an ordinary tensor of the CPU, on which each operator runs, too. So code that looks at
values (counts of tokens, a metric) goes on, and where it looked is known: `.item()` and its like stop the host until
the device is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from sparsebench.models.moe.experts import grouped_product as _  # noqa: F401 -- its operators are named below

from .places import Places

aten = torch.ops.aten
SYNCHRONISES = {
    aten.bincount.default: "bincount",
    aten.equal.default: "equal",
    aten._local_scalar_dense.default: "item",
}
"""Operators whose result the host waits for, though its shape may be known; others are found by their shape."""
CHOICES = {aten._fused_sdp_choice.default: 0}
"""What is answered in the place of a device that would be asked for its properties: attention in plain products."""

LAUNCHED = {torch.ops.sparsebench.grouped_product.default, torch.ops.sparsebench.grouped_outer.default}
"""Operators of ours that are kernels on the device; what others do there goes through their Python code."""

FIRST_ALONE = {aten._embedding_bag_forward_only.default, aten.native_batch_norm.default}
"""Operators whose further results may have another shape on a CPU; those that have, nobody reads."""
FORMULAS = {operator: decomposition_table[operator] for operator in (aten._fused_rms_norm_backward.default,)}
"""What an operator does that no CPU has, in operators that it has."""


class SimulatedDevice(TorchDispatchMode):
    """While it is entered, `device="cuda"` works; `places` says where the host waited for the device.

    Raises in place of a device: an operator that mixes devices or refuses a type, and what FakeTensors cannot do.
    """

    def __init__(self, places: Places, beside: SimulatedDevice | None = None) -> None:
        super().__init__()
        self.places = places
        self._fakes = FakeTensorMode(allow_non_fake_inputs=True) if beside is None else beside._fakes
        # One mode of fakes for all threads, which are entered and left one at a time.
        self._alone = threading.RLock() if beside is None else beside._alone

    def in_another_thread(self) -> SimulatedDevice:
        """The same device: a thread has modes of its own."""
        return SimulatedDevice(self.places, self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator by the rules of the device and on the values."""
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return args[0].device
        leaves = tree_leaves((args, kwargs))
        asked = any(isinstance(leaf, torch.device) and leaf.type == "cuda" for leaf in leaves)
        here = any(isinstance(leaf, FakeTensor) for leaf in leaves)
        if _composite(func) and (here or asked):
            with self:
                return func.decompose(*args, **kwargs)
        if not here:
            made = func(*args, **_at_home(kwargs))
            return tree_map(self._wrapped, made) if asked else made
        if func in CHOICES:
            return CHOICES[func]
        if func.namespace == "sparsebench" and func not in LAUNCHED:  # what an operator of ours does inside counts, too
            return self._inside(func, args, kwargs)
        return self._both(func, args, kwargs)

    def on_device(self, real: Tensor) -> Tensor:
        """A tensor of the device that holds this value."""
        with self._alone, self._fakes:
            fake = torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device="cuda")
        fake.real_tensor = real
        return fake

    def _both(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func in SYNCHRONISES:
            self.places.waited(SYNCHRONISES[func])
        ruled = self._ruled(func, args, kwargs)
        run = FORMULAS.get(func, func)
        real = run(*tree_map(value, args), **_at_home(tree_map(value, kwargs)))
        if ruled is None:
            return tree_map(self._wrapped, real)
        leaves = tree_leaves(ruled)
        results = tree_leaves(real)
        if func in FIRST_ALONE:
            further = zip(leaves[1:], results[1:], strict=True)
            results[1:] = [_of_shape(fake, result) for fake, result in further]
        for fake, result in zip(leaves, results, strict=True):
            if isinstance(fake, FakeTensor) and fake.device.type == "cuda":
                _keep(func, fake, result)
        places = {fake.device.type for fake in leaves if isinstance(fake, Tensor)}
        if "cpu" in places:
            self.places.waited("copy to the host")
        return ruled if places == {"cuda"} else real

    def _ruled(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What the rules of the device make of it; None where they would have to know values."""
        if func is aten._local_scalar_dense.default or func is aten.equal.default:
            return None
        try:
            with self._alone, self._fakes:
                return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            if func not in SYNCHRONISES:
                self.places.waited(func.overloadpacket.__name__)
            return None

    def _wrapped(self, real: Any) -> Any:
        return self.on_device(real) if isinstance(real, Tensor) else real

    def _inside(self, func: Any, args: Any, kwargs: Any) -> Any:
        with self:
            return _written(func)(*args, **kwargs)


def value(thing: Any) -> Any:
    """The value of a tensor on the device; anything else as it is."""
    if not isinstance(thing, FakeTensor):
        return thing
    if thing.real_tensor is None:
        raise LookupError("a tensor of the simulated device has no value: something made it that was not seen")
    return thing.real_tensor


def _of_shape(fake: Tensor, result: Tensor) -> Tensor:
    """The result, or zeros where it has another shape than the rules say."""
    return result if result.shape == fake.shape else torch.zeros(fake.shape, dtype=fake.dtype)


def _keep(func: Any, fake: FakeTensor, result: Tensor) -> None:
    if fake.shape != result.shape or fake.dtype != result.dtype:
        raise AssertionError(
            f"{func}: {fake.dtype}{tuple(fake.shape)} by the rules, {result.dtype}{tuple(result.shape)}"
        )
    if fake.real_tensor is None:
        fake.real_tensor = result


def _asks_for_it(kwargs: dict[str, Any]) -> bool:
    device = kwargs.get("device")
    return device is not None and torch.device(device).type == "cuda"


def _at_home(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The same call on the CPU."""
    if _asks_for_it(kwargs):
        kwargs = {**kwargs, "device": torch.device("cpu")}
    kwargs.pop("pin_memory", None)
    return kwargs


def _composite(func: Any) -> bool:
    """Whether it is made of other operators: such ones arrive here in inference mode."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def _written(func: Any) -> Callable[..., Any]:
    """The Python function of an operator of ours."""
    from torch._library.custom_ops import OPDEFS

    return OPDEFS[func._name.removesuffix(".default")]._init_fn
