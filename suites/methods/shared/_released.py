"""Options that releases have for each task of VTAB-1K, and methods that can take them.

The figures are facts read off the configuration files and scripts of the repositories, at the commits named below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from ...contracts.method import Later, Method
from ...contracts.traits import RELEASED_SETTINGS

DATA_SETS = (
    *("cifar", "caltech101", "dtd", "oxford_flowers102", "oxford_iiit_pet", "svhn", "sun397"),
    *("patch_camelyon", "eurosat", "resisc45", "diabetic_retinopathy"),
    *("clevr_count", "clevr_dist", "dmlab", "kitti", "dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
)
"""In the order of the rows below."""

_BY_RATE: Mapping[str, tuple[Any, ...]] = {
    "learning_rate": (
        *(0.005, 0.001, 0.005, 0.005, 0.005, 0.01, 0.005),
        *(0.005, 0.003, 0.002, 0.005),
        *(0.002, 0.05, 0.005, 0.01, 0.01, 0.005, 0.02, 0.005),
    ),
    "weight_decay": (
        *(5e-5, 5e-2, 5e-5, 5e-5, 5e-5, 5e-5, 5e-5),
        *(5e-5, 5e-2, 5e-5, 5e-5),
        *(5e-2, 5e-2, 5e-5, 5e-5, 5e-5, 5e-5, 5e-5, 5e-2),
    ),
    "drop_path": (
        *(0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0),
        *(0.0, 0.2, 0.1, 0.2),
        *(0.1, 0.1, 0.1, 0.0, 0.0, 0.2, 0.1, 0.2),
    ),
}
SETTINGS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    # JieShibo/PETL-ViT 026e4f1, FacT/configs/tt
    "fact": {
        "rank": (
            *(8, 16, 8, 16, 8, 16, 8),
            *(8, 8, 8, 8),
            *(16, 4, 16, 16, 16, 16, 16, 8),
        ),
        "scale": (
            *(1.0, 10.0, 0.01, 1.0, 1.0, 100.0, 1.0),
            *(10.0, 100.0, 0.1, 1.0),
            *(1.0, 10.0, 10.0, 10.0, 100.0, 1.0, 100.0, 10.0),
        ),
    },
    # JieShibo/PETL-ViT 026e4f1, convpass/vtab/configs/convpass
    "convpass": {
        "scale": (
            *(0.1, 1.0, 0.01, 0.1, 1.0, 100.0, 0.1),
            *(10.0, 10.0, 10.0, 1.0),
            *(1.0, 0.1, 10.0, 10.0, 100.0, 0.1, 100.0, 1.0),
        ),
        "conv_init": (
            *("identity", "identity", "xavier", "xavier", "xavier", "xavier", "identity"),
            *("identity", "identity", "identity", "identity"),
            *("identity", "xavier", "identity", "xavier", "xavier", "xavier", "xavier", "xavier"),
        ),
    },
    # JieShibo/PETL-ViT 026e4f1, binary_adapter/configs/adaptformer, files "-bit1-dim32"
    "bi_adaptformer": {
        "scale": (
            *(0.1, 10.0, 0.01, 1.0, 0.01, 10.0, 0.1),
            *(1.0, 1.0, 10.0, 1.0),
            *(1.0, 0.1, 1.0, 1.0, 1.0, 0.1, 1.0, 1.0),
        ),
    },
    # luogen1996/RepAdapter 360992f, configs/repblock
    "rep_adapter": {
        "scale": (
            *(0.1, 5.0, 1.0, 0.5, 0.1, 10.0, 0.1),
            *(1.0, 1.0, 5.0, 0.1),
            *(0.5, 0.1, 5.0, 5.0, 5.0, 0.1, 10.0, 1.0),
        ),
    },
    # dongzelian/SSF e94e0e7, train_scripts/vit/vtab; JCruan519/iDAT a12406a has the same, train_scripts/vit
    "ssf": _BY_RATE,
    "idat": _BY_RATE,
    # The lengths of Jia et al. as visinf/adapter_plus 191c4ab has them, conf/experiment/vtab/vpt.yaml,
    # where it trains at the rate of its adapters
    "vpt_deep": {
        "length": (
            *(10, 10, 10, 1, 1, 50, 5),
            *(100, 100, 10, 1),
            *(100, 200, 100, 100, 100, 100, 200, 200),
        ),
    },
}
"""By release, then by option, a value for each data set."""


def released_settings(release: str, data_set: str) -> dict[str, Any]:
    """The options that a release has for a data set of VTAB-1K."""
    place = DATA_SETS.index(data_set)
    return {name: values[place] for name, values in SETTINGS[release].items()}


@dataclass(frozen=True, kw_only=True)
class ReleasedByTask(Method):
    """A method whose authors chose some options for each task of VTAB-1K."""

    released: Later[bool] = False
    """Whether those options are the release's own for the task; then none is chosen on the validation part."""

    release: ClassVar[str]
    """Whose: a key of `SETTINGS`."""

    @property
    def needs(self) -> frozenset[str]:
        """A task of VTAB-1K, where the options are the release's."""
        return super().needs | ({RELEASED_SETTINGS} if self.released else set())

    def on(self, data_set: str) -> Self:
        """With the release's options for it; `needs` refuses a task that is none of VTAB-1K's."""
        return replace(self, **self.settled(data_set) or {})

    def settled(self, data_set: str) -> Mapping[str, Any] | None:
        """The release's options, where they are wanted and there are some."""
        if not self.released or data_set not in DATA_SETS:
            return None
        return released_settings(self.release, data_set)
