"""Mixtures whose experts no probe can watch."""

from typing import Any

import pytest

from sparsebench.models.moe import MoEFFN


def hide_experts(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, no describer finds the module of the experts of our mixtures."""
    describe_mlp = MoEFFN.describe_mlp

    def unseen(self: MoEFFN, *sites: Any) -> Any:
        mlp = describe_mlp(self, *sites)
        assert mlp.experts is not None
        mlp.experts.module = None
        return mlp

    monkeypatch.setattr(MoEFFN, "describe_mlp", unseen)
