"""Curves of how spread the adapter weights of each model are before and after training: the motive of iDAT."""

from sparsebench.models.distillation import adapter_weights, weight_spread

from ..callbacks import Callback, TrainingState


class AdapterSpread(Callback):
    """Two points of "std of adapter weights, NAME" and "interquartile range ..." for each model with adapters."""

    def on_start(self, state: TrainingState) -> None:
        """As they start. Where training goes on, a checkpoint brings back the first points."""
        self._note(state)

    def on_end(self, state: TrainingState) -> None:
        """As they have become."""
        self._note(state)

    def _note(self, state: TrainingState) -> None:
        for name, model in state.models.items():
            weights = adapter_weights(model)
            if not weights:
                continue
            found = weight_spread(weights)
            points = {"std": found.std, "interquartile range": found.interquartile}
            for what, value in points.items():
                curve = state.curves.setdefault(f"{what} of adapter weights, {name}", [])
                curve.append((float(state.step), value))
