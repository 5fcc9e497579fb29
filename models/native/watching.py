"""Whether somebody looks into the operators that run: our kernels have none to be seen."""

import torch
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


def are_operators_watched() -> bool:
    """Whether a compiler, a counter of operations, vmap or forward mode looks into the operators."""
    return (
        torch.compiler.is_compiling()
        or is_in_torch_dispatch_mode()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._functorch.peek_interpreter_stack() is not None  # pyright: ignore[reportAttributeAccessIssue]
    )
