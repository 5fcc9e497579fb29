"""Which tokens of a batch are real: read from the attention mask that a block of a model is called with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError

# Shapes: B rows of a batch, L tokens of a row in this call, V slots that they may see (earlier ones and the L).

ARGUMENTS = ("attention_mask", "see", "mask")
"""What the blocks and attentions of transformers, of GraphsGPT and of T5 call their mask."""


@dataclass(frozen=True)
class MaskReader:
    """Finds the mask in a call of one kind of block or attention: by the name of the argument or by its place.

    Without a name there is none.

    Not the model but each block is asked: a block is called again when its activations are recomputed, with the mask
    of that time, and gets what the model made of a missing, two-dimensional or ready-made mask.
    """

    name: str | None
    place: int

    @classmethod
    def of(cls, block: nn.Module) -> MaskReader:
        """The reader for modules of this class."""
        # That of the class: offloading puts another function in the place of the module's own.
        parameters = list(inspect.signature(type(block).forward).parameters)[1:]
        for name in ARGUMENTS:
            if name in parameters:
                return cls(name, parameters.index(name))
        return cls(None, 0)

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
        """Which tokens of the first argument (B, L, D) are real, bool (B, L); None where there is no mask."""
        if self.name is None:
            return None
        mask = kwargs.get(self.name)
        if mask is None and len(args) > self.place:
            mask = args[self.place]
        if mask is None:
            return None
        for name in ("cache", "past_key_values"):
            if getattr(kwargs.get(name), "is_compileable", False):
                raise ModelError(
                    f"the mask of a {type(kwargs[name]).__name__} does not say which slots are new, so padding cannot "
                    "be told from tokens: use a DynamicCache"
                )
        x = args[0] if args else kwargs["hidden_states"]
        return real_tokens(mask, x.shape[0], x.shape[1])


def real_tokens(mask: object, batch: int, length: int) -> Tensor:
    """Which of the `length` newest tokens of each row a mask shows, bool (B, L).

    `mask` (B or 1, V): not 0 for a real token. `mask` (B or 1, heads, L or 1, V), boolean (true: seen) or additive: a
    token that may not see itself is padding, which holds for causal, bidirectional, windowed and packed sequences. The
    newest tokens are the last slots. Raises `ModelError` for anything else.
    """
    if not isinstance(mask, Tensor) or not _fits(mask.shape, batch, length):
        raise ModelError(
            f"padding cannot be told from tokens by a mask that is {_kind(mask)}, for {batch} rows of {length} tokens: "
            "use (batch, slots) or (batch, 1, tokens, slots); in transformers, attn_implementation 'sdpa' or 'eager'"
        )
    first = mask.shape[-1] - length
    if mask.dim() == 2:
        return (mask[:, first:] != 0).expand(batch, -1)
    mask_BQV = mask[:, 0]
    if mask_BQV.shape[1] == 1:
        own_BL = mask_BQV[:, 0, first:]
    else:
        own_BL = mask_BQV.diagonal(first, dim1=1, dim2=2)
    # Hidden is the lowest number of the type, or -inf; what a mask adds otherwise (positions) is far from half of that.
    if mask.is_floating_point():
        seen_BL = own_BL > torch.finfo(mask.dtype).min / 2
    else:
        seen_BL = own_BL != 0
    return seen_BL.expand(batch, -1)


def _fits(shape: torch.Size, batch: int, length: int) -> bool:
    if len(shape) not in (2, 4) or shape[0] not in (1, batch) or shape[-1] < length:
        return False
    return len(shape) == 2 or shape[2] in (1, length)


def _kind(mask: object) -> str:
    if isinstance(mask, Tensor):
        return f"of shape {tuple(mask.shape)}"
    return f"a {type(mask).__name__}"
