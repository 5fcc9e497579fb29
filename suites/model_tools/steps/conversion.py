"""A dense model becomes a mixture of experts: a preset of a paper, or numbers of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.names import Names
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, calibrate, preset
from sparsebench.models.moe import convert as convert_model

from .._values import checked
from .._work import Work

OWN = {"preset": str, "faithful": bool, "targets": tuple[str, ...], "ignore": tuple[str, ...]}
"""Keys that are no fields of the configuration, and their types."""
LEFT_TO_PYTHON = ("attn", "layers", "seed")
"""Fields of the configuration that are no plain value, or have another name here."""
STARTS: dict[str, Any] = {"router_init": "energy"}
"""Where no preset is named: the router points at the inputs on which an expert is strong."""


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Every FFN becomes a mixture of its own neurons, or of copies of itself.

    Attributes:
        config: how.
        targets: regular expressions on the names of FFNs, as `model.layers.0.mlp`; empty: all.
        ignore: regular expressions on names of FFNs that stay dense.
    """

    config: MoEConfig
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Convert:
        """The step of what a recipe says.

        Args:
            values: `preset` and `faithful`, and fields of `models.moe.MoEConfig`; without a preset `num_experts`.

        Returns:
            The step.

        Raises:
            ModelError: unknown fields, with near names, and values that cannot be.

        Example: `Convert.of({"preset": "cmoe_3p1of8"})`, `Convert.of({"num_experts": 8, "top_k": 2, "num_shared": 2})`.
        """
        fields = {name: kind for name, kind in get_type_hints(MoEConfig).items() if name not in LEFT_TO_PYTHON}
        given = checked("convert", values, fields | OWN)
        changes: dict[str, Any] = {name: value for name, value in given.items() if name not in OWN}
        names = Names(given.get("targets", ()), given.get("ignore", ()))
        if "preset" in given:
            config = preset(given["preset"], faithful=given.get("faithful", False), **changes)
        elif "faithful" in given:
            raise ModelError("convert: faithful is for presets, whose code was released")
        elif "num_experts" in given:
            config = MoEConfig(**{**STARTS, **changes})
        else:
            raise ModelError("convert: name a preset, or num_experts (--preset NAME, or --experts N)")
        return cls(config=config, targets=names.targets, ignore=names.ignore)

    def apply(self, work: Work) -> str:
        """Convert in place, on calibration data where the configuration looks at them."""
        ffns = {block.index: block.mlp.site.path for block in describe(work.model).blocks if block.mlp is not None}
        chosen = Names(self.targets, self.ignore).chosen(list(ffns.values()), "FFNs")
        config = replace(self.config, seed=work.seed)
        if not all(chosen):
            layers = tuple(index for index, meant in zip(ffns, chosen, strict=True) if meant)
            config = replace(config, layers=layers)
        seen = None
        if config.needs:
            work.say("  looking at the neurons on calibration text")
            seen = calibrate(work.model, work.batches(), gradients="gradients" in config.needs)
        work.model = convert_model(work.model, config, seen).eval()
        return (
            f"{sum(chosen)} FFNs cut into {config.num_experts} experts, {config.num_shared} of them always on, "
            f"{config.top_k} of the others for a token"
        )
