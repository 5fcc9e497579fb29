"""A small study as a profile's file says it."""

import copy
from pathlib import Path
from typing import Any

import yaml

from sparsebench.suites.runner.planning.profile import Profile, load_profile

CLAIM = {
    "id": "S1",
    "statement": "Full tuning is better than a probe.",
    "source": "folklore",
    "backbone": "tiny",
    "tasks": ["synthetic"],
    "metric": "rmse",
    "rows": ["full_tuning", "probe"],
    "direction": "lower",
    "smallest_effect": 0.01,
    "smallest_reason": "our choice",
}
SUITE = {
    "seeds": 3,
    "backbones": ["tiny"],
    "methods": ["full_tuning", {"name": "linear_probe", "label": "probe"}],
    "tasks": ["synthetic", {"name": "freesolv", "rows": ["probe"]}],
    "claims": [CLAIM],
}


def load(folder: Path, **changes: Any) -> Profile:
    """The profile, with other values in its claim; None takes one away."""
    content = copy.deepcopy(SUITE)
    content["claims"][0] |= changes
    content["claims"][0] = {key: value for key, value in content["claims"][0].items() if value is not None}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({"molecules": content}))
    return load_profile(str(path))
