"""What else has to answer as if there were a device: torch.cuda, autograd, and what tensors do outside of operators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor

from sparsebench.models import counting

from . import walked
from .places import Places
from .simulated import SimulatedDevice, value

ANSWERS: dict[str, Any] = {
    "_lazy_init": None,
    "is_available": True,
    "is_bf16_supported": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_name": "simulated",
    "get_device_capability": (9, 0),
    "synchronize": None,
    "max_memory_allocated": 0,
    "reset_peak_memory_stats": None,
    "get_rng_state_all": [],
    "set_rng_state_all": None,
    "empty_cache": None,
}
"""What functions of `torch.cuda` answer."""


@contextmanager
def simulated_device() -> Iterator[SimulatedDevice]:
    """A CUDA device for the code inside; where the host waits is in the `places` of what comes."""
    torch._C._ensureCUDADeviceGuardSet()  # a guard that asks no driver, where there is none
    device = SimulatedDevice(Places())
    with ExitStack() as stack:
        # `torch.tensor(..., device="cuda")` then makes a tensor of the CPU and moves it, which we see
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        for target, name, replacement in _replacements(device):
            stack.enter_context(patch.object(target, name, replacement))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(device)
        yield device


def _replacements(device: SimulatedDevice) -> Iterator[tuple[Any, str, Any]]:
    for name, answer in ANSWERS.items():
        yield torch.cuda, name, lambda *_, answer=answer, **__: answer
    yield fake_tensor, "init_gpu_context", lambda *_: None
    yield torch.autograd, "backward", _backward(torch.autograd.backward)
    yield torch.autograd, "grad", _grad(torch.autograd.grad)
    yield threading.Thread, "run", _run(threading.Thread.run, device)
    yield torch.utils, "swap_tensors", _swapped(torch.utils.swap_tensors)
    yield torch.autograd.Function, "apply", classmethod(_apply(torch.autograd.Function.apply.__func__))
    yield torch.autograd.function.FunctionCtx, "set_materialize_grads", _set_materialize_grads
    yield counting, "_plain_tensors", lambda tensor, _: iter([value(tensor)])
    yield FakeTensor, "tolist", _tolist(device.places)
    yield FakeTensor, "numpy", _numpy
    yield FakeTensor, "__deepcopy__", _deepcopy
    yield FakeTensor, "data", property(Tensor.data.__get__, _set_data)


def _listed(thing: Any) -> list[Any]:
    return [thing] if isinstance(thing, Tensor) or thing is None else list(thing)


def _simulated(tensors: Sequence[Any]) -> bool:
    return any(isinstance(tensor, FakeTensor) for tensor in tensors)


def _backward(engine: Callable[..., None]) -> Callable[..., None]:
    def backward(
        tensors: Any, grad_tensors: Any = None, retain_graph: Any = None, create_graph: bool = False, **more: Any
    ) -> None:
        outputs = _listed(tensors)
        if not _simulated(outputs):
            engine(tensors, grad_tensors, retain_graph, create_graph, **more)
            return
        grads = [None] * len(outputs) if grad_tensors is None else _listed(grad_tensors)
        if more.get("inputs") is not None:
            raise NotImplementedError("backward to some inputs alone is not simulated")
        walked.backward(outputs, grads, create_graph=create_graph)

    return backward


def _grad(engine: Callable[..., Any]) -> Callable[..., Any]:
    def grad(
        outputs: Any,
        inputs: Any,
        grad_outputs: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        only_inputs: bool = True,
        allow_unused: Any = None,
        is_grads_batched: bool = False,
        materialize_grads: bool = False,
    ) -> tuple[Tensor | None, ...]:
        if not _simulated(_listed(outputs)):
            kept = (retain_graph, create_graph, only_inputs, allow_unused, is_grads_batched, materialize_grads)
            return engine(outputs, inputs, grad_outputs, *kept)
        ends = _listed(outputs)
        grads = [None] * len(ends) if grad_outputs is None else _listed(grad_outputs)
        wanted = _listed(inputs)
        found = walked.grad(ends, wanted, grads, create_graph=create_graph)
        if materialize_grads:
            found = [torch.zeros_like(at) if it is None else it for it, at in zip(found, wanted, strict=True)]
        if not allow_unused and any(it is None for it in found):
            raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph.")
        return tuple(found)

    return grad


def _apply(applied: Callable[..., Any]) -> Callable[..., Any]:
    """`Function.apply` that keeps which arguments were tensors: those that the edges of its node are for."""

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        out = applied(cls, *args, **kwargs)
        for tensor in _listed(out):
            node = getattr(tensor, "grad_fn", None)
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                node.tensors = [isinstance(arg, Tensor) for arg in args]
        return out

    return apply


def _set_materialize_grads(ctx: Any, wanted: bool) -> None:
    ctx.materialize_grads = wanted
    ctx.materializes = wanted  # the other one cannot be read


def _tolist(places: Places) -> Callable[[FakeTensor], Any]:
    def tolist(self: FakeTensor) -> Any:
        places.waited("tolist")
        return value(self).tolist()

    return tolist


def _numpy(self: FakeTensor, **_: Any) -> Any:
    raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first")


def _deepcopy(self: FakeTensor, memo: dict[int, Any]) -> Any:
    if id(self) not in memo:
        copied = self.detach().clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
    return memo[id(self)]


def _run(run: Callable[[threading.Thread], None], device: SimulatedDevice) -> Callable[[threading.Thread], None]:
    def run_there(self: threading.Thread) -> None:
        with device.in_another_thread():
            run(self)

    return run_there


def _swapped(swap: Callable[[Tensor, Tensor], None]) -> Callable[[Tensor, Tensor], None]:
    """What a module does to a parameter that changes its type: of one on a device it sets the data."""

    def swapped(old: Tensor, new: Tensor) -> None:
        if isinstance(old, FakeTensor) and isinstance(new, FakeTensor):
            old.data = new.detach()
        else:
            swap(old, new)

    return swapped


def _set_data(self: FakeTensor, new: Tensor) -> None:
    torch._C.TensorBase.data.__set__(self, new)
    self.real_tensor = value(new)
