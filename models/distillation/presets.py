"""The settings of iDAT: as released, and corrected."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..adapters import AdapterConfig
from ..adapters import preset as adapter_preset
from ..errors import ModelError, check_choice
from .inverse import InverseDistillation, Kind

IdatAdapter = Literal["idat_sequential", "idat_adaptformer", "idat_shared_parallel"]
"""The adapters of the release, "gist_seq_adapter", "adaptformer" and "gist_shared_par_adapter" there."""
RELEASED_WIDTH = 4
"""Hidden units of every adapter, in the student and in the teacher."""


@dataclass(frozen=True)
class JointSettings:
    """What two models are trained with."""

    adapters: AdapterConfig
    """The adapters of the student, and of the teacher as well."""
    loss: InverseDistillation
    teacher_steps: bool = True
    """Whether an optimizer moves the teacher."""


def preset(
    adapter: IdatAdapter = "idat_sequential", kind: Kind = "mse", *, faithful: bool = False, amp: bool = True
) -> JointSettings:
    """The adapters and the loss of iDAT (arXiv 2403.15750), the script's choice by default.

    Adapters are 4 wide in both models. Corrected: they start as no change, and "kl" has the factor T².

    Args:
        adapter: which adapters both models get.
        kind: the distance between their outputs.
        faithful: as the release has them: both projections N(0, 0.02²), so that the model is another one at once, and
            no T².
        amp: False, with `faithful`, is what the released code does without automatic mixed precision: the teacher, with
            its random head, is never stepped. With it, the loss is sent back twice, and the teacher's gradient is twice
            as large, of which AdamW sees nothing but its eps: one backward pass is the same training, so there is no
            switch for that.

    Returns:
        The adapters, the loss, and whether the teacher is stepped.

    Raises:
        ModelError: an unknown name, and `amp=False` of the corrected settings.
    """
    check_choice("adapter", adapter, get_args(IdatAdapter))
    if not faithful and not amp:
        raise ModelError("amp=False is a defect of the release: it goes with faithful=True only")
    return JointSettings(
        adapters=adapter_preset(adapter, faithful=faithful, r=RELEASED_WIDTH),
        loss=InverseDistillation(kind=kind, t2=not faithful),
        teacher_steps=amp,
    )
