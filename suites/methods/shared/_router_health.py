"""The health of a model's routers as curves over its layers, for suites whose tasks do not watch routers themselves."""

import warnings

from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.health import layer_places, router_health
from sparsebench.models.moe.routing.probe import has_mixture
from sparsebench.reports.routers.health import LayerNumbers, layer_name
from sparsebench.reports.routers.layer_curves import to_curves

from ...contracts.context import Context
from ...contracts.method import Curves
from ...training.random_state import undisturbed


def health_curves(model: nn.Module, context: Context) -> Curves:
    """Worst expert, dead experts, entropy and CV^2 of the load by layer, on the calibration data.

    None for language models that predict the next token, since their tasks say it of the text that they score; for a
    model without a mixture; without calibration data. What cannot be watched is a warning, which the record keeps.
    """
    if context.target.kind == "next-token" or not has_mixture(model):
        return {}
    batches = context.calibration()
    if not batches:
        return {}
    try:
        with undisturbed():
            seen = router_health(model, {"calibration": batches})["calibration"]
    except ModelError as error:
        warnings.warn(f"no health of the routers: {error}", stacklevel=2)
        return {}
    places = layer_places(model)
    layers: dict[str, LayerNumbers] = {}
    for path, one in seen.items():
        numbers = LayerNumbers(one.worst, one.dead, one.entropy, one.token_entropy, one.cv2)
        layers[layer_name(*places[path])] = numbers
    return to_curves(layers, [len(one.load) for one in seen.values()])
