"""Whether a dense FFN computes what its view says, and whether its experts together compute what it did.

A view is only as right as the describer that made it, and a module can do more than its linear layers and activation
say: a forward of its own, hooks, a multiplier, dropout. A few random rows through both show it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import MLP
from ...errors import ModelError
from ...evaluation import evaluation_mode
from ..layer import MoEFFN
from ..splits import Partition
from .dense_ffn import DenseFFN

ROWS = 4
"""Random rows that go through."""
SAFETY = 8.0
"""How many times the unit round-off of its terms a sum may be off."""
CARRIED = 3.0
"""Standard deviations that are allowed of what the errors of all neurons together do to an output."""

# Shapes: T rows, D width, F hidden neurons, O outputs of a product.


class Expected(NamedTuple):
    """Random rows x, what an FFN makes of them, and how far rounding may take that, all (T, D)."""

    x: Tensor
    y: Tensor
    allowed: Tensor

    def is_met_by(self, y_TD: Tensor, times: float = 1.0) -> bool:
        """Whether these are the same rows but for rounding."""
        if y_TD.shape != self.y.shape:
            return False
        return bool(((y_TD.to(self.y.dtype) - self.y).abs() <= times * self.allowed).all())


@torch.no_grad()
def check_view(mlp: MLP, dense: DenseFFN) -> Expected | None:
    """Raise a `ModelError` unless the modules of an FFN compute W_down act(W_up x), gated or not, as its view says; in
    eval mode.

    Gives what was expected, for `check_mixture`; None for a model without weights, which computes nothing.
    """
    if dense.up.is_meta:
        return None
    expected = _expected(dense)
    try:
        y_TD = _run(mlp, expected.x.unsqueeze(0)).squeeze(0)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = f"(1, {ROWS}, {mlp.width})"
        raise ModelError(f"{mlp.site.path} cannot be called with one tensor {shape}: {error}") from error
    if not expected.is_met_by(y_TD):
        raise ModelError(
            f"{mlp.site.path} ({type(mlp.site.get()).__name__}) does not compute what its linear layers and activation "
            "say, and neither would experts cut from it: it has a forward or a hook of its own, or its describer is "
            "wrong"
        )
    return expected


@torch.no_grad()
def check_mixture(layer: MoEFFN, expected: Expected | None, parts: Partition, path: str) -> None:
    """Raise a `ModelError` unless shared block, all experts and bias add up to the dense FFN.

    They do where each neuron is in exactly one block; other partitions are not compared.
    """
    if expected is None or len(parts.order) != layer.hidden or len(parts.missing(layer.hidden)):
        return
    y_TD = layer.experts(expected.x)
    if layer.shared is not None:
        y_TD = y_TD + layer.shared(expected.x)
    if layer.down_bias is not None:
        y_TD = y_TD + layer.down_bias
    # Each block's result is rounded before they are added.
    if not expected.is_met_by(y_TD, (len(parts.sizes) + 1) ** 0.5):
        raise ModelError(f"{path}: the experts do not add up to the dense layer; please report this")


@torch.no_grad()
def output_dropout(mlp: MLP) -> float | None:
    """The p of dropout that acts on the outputs of an FFN in training, 0 without dropout.

    None where it acts elsewhere (on hidden neurons, as in T5), or where a model without weights cannot show it: each
    output of a few random rows must be 0 or that of eval mode over 1 - p.
    """
    modules = nn.ModuleList(site.get() for site in mlp.parts)
    found = {child.p for child in modules.modules() if isinstance(child, nn.Dropout) and child.p > 0}
    if not found:
        return 0.0
    like = next(modules.parameters())
    if len(found) > 1 or like.is_meta:
        return None
    p = found.pop()
    x_TD = torch.randn(1, ROWS, mlp.width, generator=torch.Generator().manual_seed(0)).to(like)
    with torch.random.fork_rng([like.device] if like.is_cuda else []):
        plain_TD, dropped_TD = (_run(mlp, x_TD, training=training) for training in (False, True))
    near = torch.isclose(dropped_TD * (1 - p), plain_TD, rtol=8 * torch.finfo(like.dtype).eps)
    return p if bool((near | (dropped_TD == 0)).all()) else None


def check_untied(model: nn.Module, mlps: Iterable[MLP]) -> None:
    """Raise a `ModelError` for an FFN whose weights are used in another place too: experts would be copies."""
    places: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    for mlp in mlps:
        for site in mlp.linears:
            names = places[id(site.get().weight)]
            if len(names) > 1:
                raise ModelError(
                    f"{site.path} shares its weight ({' and '.join(names)}), which experts would not: give each "
                    "place a weight of its own first"
                )


def _run(mlp: MLP, x: Tensor, *, training: bool = False) -> Tensor:
    """What the modules of an FFN make of inputs (..., D) in this mode; they are in their own again afterwards."""
    parts = [site.get() for site in mlp.parts]
    with evaluation_mode(*parts):
        for part in parts:
            x = part.train(training)(x)
    return x


def _expected(dense: DenseFFN) -> Expected:
    """What the view says comes out of random rows.

    The weights are read once: sizes of sums are estimated from sums of the same terms with random signs.
    """
    generator = torch.Generator().manual_seed(0)
    x_TD = torch.randn(ROWS, dense.up.shape[1], generator=generator).to(dense.up.device, dense.up.dtype)
    result, _ = _roundoff(x_TD)
    up_TF = F.linear(x_TD, dense.up, dense.up_bias)
    up_error_TF = _error(up_TF, up_TF, x_TD, dense.up.shape[1])
    gate_TF = None if dense.gate is None else F.linear(x_TD, dense.gate, dense.gate_bias)
    h_TF = _hidden(dense, gate_TF, up_TF)
    # How far an error before the activation takes its result: by trying, whatever the activation.
    h_error_TF = 3 * result * h_TF.abs().to(up_error_TF.dtype)
    for sign in (-1, 1):
        moved = [_hidden(dense, gate_TF, (up_TF + sign * up_error_TF).to(up_TF.dtype))]
        if gate_TF is not None:
            gate_error_TF = _error(gate_TF, gate_TF, x_TD, dense.up.shape[1])
            moved.append(_hidden(dense, (gate_TF + sign * gate_error_TF).to(up_TF.dtype), up_TF))
        for moved_TF in moved:
            h_error_TF = h_error_TF.maximum((moved_TF - h_TF).abs())
    signs_TF = torch.randint(2, h_TF.shape, generator=generator).to(h_TF) * 2 - 1
    rows = torch.cat((h_TF, h_TF * signs_TF, h_error_TF.to(h_TF.dtype) * signs_TF))
    plain_TD, signed_TD, carried_TD = F.linear(rows, dense.down).chunk(3)
    y_TD = plain_TD if dense.down_bias is None else plain_TD + dense.down_bias
    allowed_TD = _error(y_TD, signed_TD, x_TD, dense.down.shape[1]) + CARRIED * _size(carried_TD)
    return Expected(x_TD, y_TD.to(allowed_TD.dtype), allowed_TD)


def _hidden(dense: DenseFFN, gate_TF: Tensor | None, up_TF: Tensor) -> Tensor:
    if gate_TF is None:
        return dense.activation(up_TF)
    return dense.activation(gate_TF) * up_TF


def _error(y_TO: Tensor, signed_TO: Tensor, x: Tensor, terms: int) -> Tensor:
    """Rounding error of sums y of so many terms, which with random signs are of the size of `signed`.

    That of the accumulator is its unit round-off times the sum of the terms' magnitudes, which is at most sqrt(terms)
    times their root sum of squares; then the result is rounded to its own dtype.
    """
    result, accumulator = _roundoff(x)
    size_TO = _size(signed_TO)
    rounded_TO = result * (2 * y_TO.abs().to(size_TO.dtype) + size_TO)
    return rounded_TO + SAFETY * accumulator * terms**0.5 * size_TO


def _size(sample_TO: Tensor) -> Tensor:
    """Typical size of each output, from a few samples: their own mean square and that of all outputs."""
    square_TO = sample_TO.to(torch.promote_types(sample_TO.dtype, torch.float32)).square()
    return (square_TO.mean(0, keepdim=True) + square_TO.mean()).sqrt()


def _roundoff(x: Tensor) -> tuple[float, float]:
    """Unit round-off of results and of sums: half precision sums in float32, and float32 may be TF32 on a GPU."""
    result = torch.finfo(x.dtype).eps / 2
    single = torch.finfo(torch.float32).eps / 2
    if x.dtype == torch.float32 and x.is_cuda and torch.backends.cuda.matmul.allow_tf32:
        return 2.0**-11, 2.0**-11
    return result, min(result, single)
