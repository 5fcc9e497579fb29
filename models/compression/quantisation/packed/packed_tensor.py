"""A weight that holds packed codes and scales, and is read as the dense weight that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch._guards import TracingContext
from torch.utils._pytree import tree_map_only

from ....errors import ModelError
from ..grid import Grid, GridPoints, Quantised
from .kernels.codes import Codes
from .kernels.products import experts
from .packing import pack, unpack

# Shapes: N experts (there may be no such dimension), O outputs, I inputs, G groups, W words of a row.

_NO_MEMORY = (
    "quantised weights have no memory of their own shape: save the model by `sparsebench.models.save`, or "
    "`dequantise(model)` first"
)
_own_operators: dict[Any, Callable[..., Any]] = {}
"""By operator, or function of torch: what it does with a packed weight among its arguments."""

Operator = TypeVar("Operator", bound=Callable[..., Any])


def on_packed(*operators: object) -> Callable[[Operator], Operator]:
    """Have a function do what these operators do with a packed weight; it is called with their arguments.

    Where it gives None, these arguments are none for it, and the operator gets the dense weight.
    """

    def register(function: Operator) -> Operator:
        _own_operators.update(dict.fromkeys(operators, function))
        return function

    return register


class PackedTensor(Tensor):
    """A matrix (O, I), or a stack (N, O, I), in packed storage; (I, O) or (N, I, O) where `transposed`.

    `words` int32 (..., O, W) are the codes, `scale` (..., O, G) and `zero` uint8 (..., O, G) say what they mean; a
    symmetric grid has no `zero`. It stands in the place of a parameter, so that all code that reads a weight reads the
    dense one, which is made for the operation and dropped after it: of the chosen expert alone where a module goes
    through its experts. Parts of it along the experts or rows (an index, a slice, a transpose) stay packed. Where no
    gradient is wanted, products read the codes themselves if a kernel takes them, and round their inputs to 8 bits
    (`kernels.products` says when, and has `dense_products` against it).

    Gradients pass through it to the input of a layer, but it gets none. Writing into it is a `ModelError`, but for
    another packed weight of the same grid and shape (`load_state_dict`).
    """

    words: Tensor
    scale: Tensor
    zero: Tensor | None
    grid: Grid
    columns: int
    transposed: bool

    if TYPE_CHECKING:  # Tensor's own signature knows nothing of the parts

        def __init__(
            self,
            words: Tensor,
            scale: Tensor,
            zero: Tensor | None,
            *,
            grid: Grid,
            columns: int,
            transposed: bool = False,
        ) -> None: ...

    @staticmethod
    def __new__(
        cls,
        words: Tensor,
        scale: Tensor,
        zero: Tensor | None,
        *,
        grid: Grid,
        columns: int,
        transposed: bool = False,
    ) -> PackedTensor:
        """A weight of these parts; `columns` is I."""
        shape = [*words.shape[:-1], columns]
        if transposed:
            shape[-2], shape[-1] = shape[-1], shape[-2]
        with torch.inference_mode(False):  # a part of a parameter is an ordinary tensor in that mode, too
            made = Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
                cls, torch.Size(shape), dtype=scale.dtype, device=words.device, requires_grad=False
            )
        made.words = words
        made.scale = scale
        made.zero = zero
        made.grid = grid
        made.columns = columns
        made.transposed = transposed
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Functions of torch, before it takes them apart into operators, each of which would come here alone."""
        keywords = kwargs or {}
        own = _own_operators.get(func)
        with torch._C.DisableTorchFunctionSubclass():
            result = None if own is None else own(*args, **keywords)
            return func(*args, **keywords) if result is None else result

    @classmethod
    def of(cls, quantised: Quantised, *, transposed: bool = False) -> PackedTensor:
        """The packed form of codes; `transposed`: the parameter that it stands for is (I, O)."""
        grid = quantised.grid
        zero = quantised.points.zero
        if grid.symmetric:
            zero = None
        packed = pack(quantised.codes, grid.bits)
        columns = quantised.codes.shape[-1]
        return cls(packed, quantised.points.scale, zero, grid=grid, columns=columns, transposed=transposed)

    @property
    def codes(self) -> Codes:
        """The parts as kernels take them: of (O, I), whatever the orientation."""
        return Codes(self.words, self.scale, self.zero, self.grid, self.columns)

    def run_experts(self, x: Tensor, index: Tensor, weight: Tensor, down: object) -> Tensor | None:
        """The whole layer of SwiGLU experts of which this is gate and up, or None where a kernel cannot do it."""
        if self.transposed or not isinstance(down, PackedTensor) or down.transposed:
            return None
        return experts(x, index, weight, self.codes, down.codes)

    def quantised(self) -> Quantised:
        """Codes and points, in the layout (..., O, I)."""
        zero = self.zero
        if zero is None:
            zero = torch.full_like(self.scale, self.grid.middle, dtype=torch.uint8)
        codes = unpack(self.words, self.grid.bits, self.columns)
        return Quantised(self.grid, codes, GridPoints(self.scale, zero))

    @torch.no_grad()
    def dense(self) -> Tensor:
        """The weight as an ordinary tensor."""
        weight = self.quantised().dense()
        return weight.mT if self.transposed else weight

    def parts(self) -> dict[str, Tensor]:
        """The tensors with memory of their own, by name."""
        names, _ = self.__tensor_flatten__()
        return {name: getattr(self, name) for name in names}

    def requires_grad_(self, mode: bool = True) -> PackedTensor:
        """Nothing to do for False. Raises `ModelError` for True: codes do not train."""
        if mode:
            raise ModelError("quantised weights do not train: train adapters or other parts, or quantise afterwards")
        return self

    def data_ptr(self) -> int:
        """Raises `ModelError`: there is no memory with the dense weight, which whoever asks (a file format) wants."""
        raise ModelError(_NO_MEMORY)

    def untyped_storage(self) -> Any:
        """Raises `ModelError`, as `data_ptr` does; but for a compiler, which asks whether tensors share memory."""
        if TracingContext.try_get() is None:
            raise ModelError(_NO_MEMORY)
        return super().untyped_storage()

    storage = untyped_storage

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        names = ["words", "scale"]
        if self.zero is not None:
            names.append("zero")
        return names, (self.grid, self.columns, self.transposed)

    @classmethod
    def __tensor_unflatten__(cls, inner: dict[str, Tensor], meta: Any, size: Any, stride: Any) -> PackedTensor:
        grid, columns, transposed = meta
        zero = inner.get("zero")
        return cls(inner["words"], inner["scale"], zero, grid=grid, columns=columns, transposed=transposed)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        own = _own_operators.get(func)
        if own is not None:
            result = own(*args, **keywords)
            if result is not None:
                return result
        if func._can_decompose():
            # In inference mode torch leaves that to us: `matmul` and `chunk` come as they were called.
            return func.decompose(*args, **keywords)
        _refuse_writing(func, args, keywords)
        if func.is_view:
            # What is a view of an ordinary tensor has to be one in inference mode, too: torch counts its versions.
            with torch.inference_mode(False):
                return _on_dense(func, args, keywords)
        return _on_dense(func, args, keywords)

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedTensor:
        if id(self) not in memo:
            memo[id(self)] = _as(self.map(torch.clone), isinstance(self, nn.Parameter))
        return memo[id(self)]

    def __reduce_ex__(self, protocol: object) -> Any:
        layout = {"columns": self.columns, "transposed": self.transposed}
        return _rebuild, (self.parts(), asdict(self.grid), layout, isinstance(self, nn.Parameter))

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"PackedTensor(shape={tuple(self.shape)}, dtype={self.dtype}, {self.grid})"

    def map(self, change: Callable[[Tensor], Tensor], *, transposed: bool | None = None) -> PackedTensor:
        """The same with another version of each part, and, if given, the other orientation."""
        zero = None if self.zero is None else change(self.zero)
        return PackedTensor(
            change(self.words),
            change(self.scale),
            zero,
            grid=self.grid,
            columns=self.columns,
            transposed=self.transposed if transposed is None else transposed,
        )


def _on_dense(func: Any, args: Any, keywords: dict[str, Any]) -> Any:
    dense_args, dense_keywords = tree_map_only(PackedTensor, PackedTensor.dense, (args, keywords))
    return func(*dense_args, **dense_keywords)


def _rebuild(parts: dict[str, Tensor], grid: dict[str, Any], layout: dict[str, Any], parameter: bool) -> PackedTensor:
    """What a file of `torch.save` calls: tensors and plain values in, a packed weight out."""
    packed = PackedTensor(parts["words"], parts["scale"], parts.get("zero"), grid=Grid(**grid), **layout)
    return _as(packed, parameter)


torch.serialization.add_safe_globals([_rebuild])  # `torch.load` with `weights_only`, its default


def _as(packed: PackedTensor, parameter: bool) -> PackedTensor:
    if parameter:
        return nn.Parameter(packed, requires_grad=False)  # pyright: ignore[reportReturnType]
    return packed


def _refuse_writing(func: Any, args: Sequence[Any], keywords: dict[str, Any]) -> None:
    """Raise a `ModelError` where an operator would write into a packed weight: the dense one is a copy."""
    for place, argument in enumerate(func._schema.arguments):
        value = keywords.get(argument.name)
        if place < len(args):
            value = args[place]
        writes = argument.is_out or (argument.alias_info is not None and argument.alias_info.is_write)
        if writes and isinstance(value, PackedTensor):
            raise ModelError(
                f"{func} would write into quantised weights, which can only be read: change the weights first and "
                "quantise afterwards, or `dequantise(model)`"
            )
