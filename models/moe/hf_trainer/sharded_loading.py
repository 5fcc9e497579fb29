"""Loads a stock export so that many processes train it together: FSDP2, expert parallelism, or both."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from ...errors import ModelError
from ...hub.foreign_configs import refuse_foreign

OWN = "sparsebench"
"""The model type of our own format."""


def load_sharded(
    path: str | Path, *, fsdp_size: int = 1, ep_size: int = 1, replicas: int = 1, **keywords: object
) -> Any:
    """A checkpoint that `export` wrote, spread over the processes that `torchrun` started, in training mode.

    - `fsdp_size`: processes among which every parameter is split (FSDP2); each has batches of its own.
    - `ep_size`: processes among which the experts are shared out whole; tokens travel to them. With `fsdp_size` it must
      divide it: a group of `ep_size` holds all experts once, and the `fsdp_size / ep_size` groups split each expert
      further. With `fsdp_size=1` all processes have the same batch, and only the experts are shared out.
    - `replicas`: copies of all that, one for each node, say; only gradients travel between them.

    Together they must use all processes: `fsdp_size * replicas`, or `ep_size` with `fsdp_size=1`. `keywords` go to
    `from_pretrained` (`dtype`, `attn_implementation`, ...). This is transformers' own `DistributedConfig` with what has
    to be known of it; `Trainer` takes the model as it is, and so does a loop of one's own.

    `model.save_pretrained(path)`, called by every process, writes one stock checkpoint again. `Trainer` cannot go on
    from a checkpoint of a model that is sharded like this (transformers 5.24: "Resuming is not supported for models
    sharded at load time"): pass `save_only_model=True`, and start again from the weights.

    Raises `ModelError` for sizes that do not fit each other, the model or the number of processes, and for a folder in
    our own format, which transformers has no plan for: `fully_shard` takes a converted model instead.

    Example, of eight processes in two groups, each of which holds all experts::

        # torchrun --nproc-per-node 8 train.py
        model = load_sharded("exported", fsdp_size=8, ep_size=4, dtype=torch.bfloat16)
        Trainer(model, arguments, train_dataset=rows, callbacks=[BalanceLossCallback()]).train()
    """
    from transformers import AutoModelForCausalLM
    from transformers.distributed.configuration_utils import DistributedConfig

    if "fsdp_size" not in DistributedConfig.__dataclass_fields__:
        raise ModelError("this transformers cannot shard a model while it loads: pip install 'transformers>=5.20'")
    experts = _experts(Path(path))
    _check_sizes(fsdp_size, ep_size, replicas, experts)
    sizes: dict[str, Any] = {"fsdp_size": fsdp_size, "ep_size": ep_size, "dp_replicate_size": replicas}
    if fsdp_size == 1 and ep_size > 1:
        sizes |= {"tp_size": ep_size, "tp_plan": _whole(path)}
    model = AutoModelForCausalLM.from_pretrained(path, distributed_config=DistributedConfig(**sizes), **keywords)
    return model.train()


def _whole(path: str | Path) -> dict[str, str]:
    """A tensor-parallel plan that leaves everything whole.

    Expert parallelism of one batch is laid over processes that transformers calls tensor parallel, and it refuses an
    empty plan for them, though its documentation names it (5.24: "has no `tp_plan`").
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path))
    return dict.fromkeys(model.tp_plan, "replicate")


def _experts(folder: Path) -> int:
    """How many experts a layer of the checkpoint has."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no config.json: write it with export(model, path)")
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.get("model_type") == OWN:
        raise ModelError(
            f"{folder} holds a converted model in our own format: export(model, path) writes a stock one, or "
            "shard the converted model with torch.distributed.fsdp.fully_shard"
        )
    refuse_foreign(config, str(folder))
    for name in ("num_local_experts", "num_experts", "n_routed_experts"):
        if name in config:
            return config[name]
    raise ModelError(f"{folder} holds a {config.get('model_type')} without experts")


def _check_sizes(fsdp_size: int, ep_size: int, replicas: int, experts: int) -> None:
    for name, size in (("fsdp_size", fsdp_size), ("ep_size", ep_size), ("replicas", replicas)):
        if size < 1:
            raise ModelError(f"{name}={size} must be 1 or more")
    if experts % ep_size:
        raise ModelError(f"ep_size={ep_size} cannot share out {experts} experts evenly: take a divisor of {experts}")
    if fsdp_size > 1 and fsdp_size % ep_size:
        raise ModelError(f"ep_size={ep_size} must divide fsdp_size={fsdp_size}")
    if fsdp_size == 1 and replicas > 1:
        raise ModelError(f"replicas={replicas} are copies of sharded models: set fsdp_size to 2 or more")
    needed = fsdp_size * replicas
    if fsdp_size == 1:
        needed = ep_size
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if needed != started:
        raise ModelError(
            f"fsdp_size={fsdp_size}, ep_size={ep_size} and replicas={replicas} take {needed} processes, but {started} "
            f"were started: torchrun --nproc-per-node {needed} ..."
        )
