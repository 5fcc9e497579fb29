"""The small GraphsGPT that was pre-trained on MOSES by `pretraining`, 2.1 million parameters, one to eight words.

Two stages of two processes, as its card says: 5,000 steps with heads side by side, by an earlier form of the script,
and 4,000 with `--go-on-from`, `--grow 0 --learning-rate 0.0015 --matrix-rate 0.005 --condition-fraction 0.5`.
"""

from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig

FOLDER = Path(__file__).with_name("weights") / "graphsgpt_small"
CHECKSUM = "4082343316abc6f3e801e3ccac2459eb56388ef1129a0a1809b88e662d97ce82"
"""sha256 of the weights: what the backbones were written for."""
CORE_SECONDS = 5112.0
"""Of both stages: seconds times processes, as the card says."""


def small_config() -> GraphsGPTConfig:
    """Its configuration."""
    config = GraphsGPTConfig.from_json_file(FOLDER / "config.json")
    assert isinstance(config, GraphsGPTConfig)
    return config


def load_small() -> GraphsGPT:
    """The model in float32, in eval mode. Raises ValueError if the packaged weights are not those of this version."""
    content = (FOLDER / "model.safetensors").read_bytes()
    if sha256(content).hexdigest() != CHECKSUM:
        raise ValueError("the weights of graphsgpt_small are not those that this version was written for: reinstall")
    with torch.device("meta"):
        model = GraphsGPT(small_config())
    model.load_state_dict({name: weight.float() for name, weight in load(content).items()}, assign=True)
    model.core_seconds = CORE_SECONDS
    return model.eval()
