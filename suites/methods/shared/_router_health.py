"""The health of a model's routers, noted for suites whose tasks do not watch routers themselves."""

import warnings

from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.health import layer_places, router_health
from sparsebench.models.moe.routing.probe import has_mixture
from sparsebench.reports.routers.health import CALIBRATION, ON_CALIBRATION, layer_name

from ...contracts.context import Context
from ...training.random_state import undisturbed
from ...training.router_watch import health_entry


def note_health(model: nn.Module, context: Context) -> None:
    """Note worst expert, dead experts, entropy and CV^2 of the load by layer, on the calibration data.

    Nothing for language models that predict the next token, since their tasks say it of the text that they score; for a
    model without a mixture; without calibration data. What cannot be watched is a warning, which the record keeps.
    """
    if context.target.kind == "next-token" or not has_mixture(model):
        return
    batches = context.calibration()
    if not batches:
        return
    try:
        with undisturbed():
            seen = router_health(model, {CALIBRATION: batches})[CALIBRATION]
    except ModelError as error:
        warnings.warn(f"no health of the routers: {error}", stacklevel=2)
        return
    places = layer_places(model)
    layers = {layer_name(*places[path]): health for path, health in seen.items()}
    context.note(ON_CALIBRATION, health_entry({CALIBRATION: layers}))
