"""DOT-MoE: learn the experts of every FFN against the dense model, then cut the model into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ....anatomy import MLP, describe
from ....calibration.ffn_samples import Calibration
from ....errors import ModelError
from ...config import MoEConfig
from ...splits.transport import affinity, log_importance
from ..convert import convert, split_input
from ..output_divergence import output_divergence
from ..preconditions import FFN, calibration_for, feed_forwards, to_convert
from ..verification import check_untied, check_view
from .layer import MaskedFFN, TransportFFN, all_dense

# Shapes: T tokens, D width, N experts.

FIXED = {
    "split": "transport",
    "clusters": "tokens",
    "router": "linear",
    "router_init": "centroids",
    "num_shared": 0,
    "score": "none",
    "scale": "exact",
}
"""What a configuration must say: experts without a weight, which `TransportFFN` computes."""


@dataclass(frozen=True, kw_only=True)
class OpenExperts:
    """A model whose experts are being learnt: `layers` by block, in the place of the FFNs `places`.

    `trained` are the parameters that had a gradient before.
    """

    model: nn.Module
    config: MoEConfig
    calibration: Calibration
    places: dict[int, MLP]
    layers: dict[int, TransportFFN]
    trained: list[nn.Parameter]

    def loss(self, logits: Callable[[nn.Module], Tensor]) -> Tensor:
        """KL(dense || mixture) of the model's outputs, mean over tokens, with the layers' balance loss and z-loss.

        Args:
            logits: of a model, (..., C); it is called twice, once while all layers are dense.

        Returns:
            A scalar, whose gradient reaches affinities and routers.
        """
        with torch.no_grad(), all_dense(self.layers.values()):
            target = logits(self.model)
        total = output_divergence(target, logits(self.model))
        for layer in self.layers.values():
            if layer.aux is not None:
                total = total + layer.aux
        return total

    def close(self, config: MoEConfig | None = None) -> nn.Module:
        """Put the dense FFNs back, and convert them into the experts and routers as they are learnt by now.

        Args:
            config: another router over the learnt experts; None for the learnt one.

        Returns:
            The model. Of the learnt router each chosen expert has its dense coefficient, and there is no loss on it any
            more: without weights no other gradient reaches it, and balance alone would undo what it learnt.
        """
        given = {block: layer.partition() for block, layer in self.layers.items()}
        self.undo()
        return convert(self.model, config or self.learnt, self.calibration, given=given)

    @property
    def learnt(self) -> MoEConfig:
        """The conversion into the learnt experts under the learnt router."""
        return replace(self.config, balance="none", z_coef=0.0)

    def undo(self) -> None:
        """Put the dense FFNs back; what had a gradient has one again."""
        for block, layer in self.layers.items():
            self.places[block].replace(*layer.replaced)
        for parameter in self.trained:
            parameter.requires_grad_(True)


def open_experts(
    model: nn.Module,
    config: MoEConfig,
    calibration: Calibration,
    temperature: float = 1.0,
    held: float | None = None,
) -> OpenExperts:
    """Put a `TransportFFN` in the place of each FFN, in place: affinities and routers then train, and nothing else.

    They start from clusters of FFN inputs: the affinity of a neuron is the logarithm of the fraction of its importance
    that lies in an expert's cluster, the router's row is the cluster's centroid less the mean centroid, scaled so that
    the logits of the calibration tokens have a root mean square of 1, neither of which changes a choice.

    Args:
        model: a dense model whose anatomy is known.
        config: has the values of `FIXED`; its balance loss and z-loss act while the experts are learnt.
        calibration: what `calibrate` returned of it.
        temperature: of the transport plan.
        held: the fraction of the neurons that each expert holds of its own choice, whatever others hold, as in ToMoE;
            affinities then start from the importance itself (`log_importance`). None: each neuron is in one expert.

    Returns:
        The model with what was put into it.

    Raises:
        ModelError: another configuration, an FFN that `convert` would refuse, a calibration of another model. Nothing
            changes.

    Example::

        learning = open_experts(model, config, calibrate(model, batches))
        loss = learning.loss(lambda model: model(input_ids=ids).logits)  # train `affinity` and `router` of the layers
        mixture = learning.close()
    """
    differing = [f"{name}={getattr(config, name)!r}" for name, value in FIXED.items() if getattr(config, name) != value]
    if differing:
        raise ModelError(f"experts that are learnt need {FIXED}, not {', '.join(differing)}")
    anatomy = describe(model)
    ffns = feed_forwards(anatomy)
    chosen = to_convert(anatomy, ffns, config)
    check_untied(model, [ffn.mlp for ffn in chosen])
    for ffn in chosen:
        check_view(ffn.mlp, ffn.dense)
    calibration_for(model, ffns, config, calibration)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    generator = torch.Generator().manual_seed(config.seed)
    layers = {ffn.block: _layer(ffn, config, calibration, generator, held) for ffn in chosen}
    model.requires_grad_(False)
    for ffn in chosen:
        layers[ffn.block].temperature = temperature
        ffn.mlp.replace(layers[ffn.block])
    return OpenExperts(
        model=model,
        config=config,
        calibration=calibration,
        places={ffn.block: ffn.mlp for ffn in chosen},
        layers=layers,
        trained=trained,
    )


@torch.no_grad()
def _layer(
    ffn: FFN, config: MoEConfig, calibration: Calibration, generator: torch.Generator, held: float | None
) -> TransportFFN:
    inp = split_input(ffn, config, calibration, generator)
    affinity_FN, centroid_ND = affinity(inp) if held is None else log_importance(inp)
    assert centroid_ND is not None, "the configuration has clusters of tokens"
    router_ND = (centroid_ND - centroid_ND.mean(0)).float()
    logits_TN = inp.need_sample().x.float().cpu() @ router_ND.cpu().T
    router_ND = router_ND / logits_TN.square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny)
    modules = [site.get() for site in ffn.mlp.parts]
    if held is None:
        return TransportFFN(ffn.dense, modules, affinity_FN, router_ND, config)
    return MaskedFFN(ffn.dense, modules, affinity_FN, router_ND, config, max(1, round(held * inp.hidden)))
