"""What `--slurm partition=gpu,time=60,array=8` says, in the terms of submitit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError, near

CLUSTERS = ("slurm", "local", "debug")
DEFAULT_MINUTES = 24 * 60
PARAMETERS: Mapping[str, tuple[str, type]] = {
    "time": ("timeout_min", int),
    "mem": ("mem_gb", float),
    "cpus": ("cpus_per_task", int),
    "gpus": ("gpus_per_node", int),
    "partition": ("slurm_partition", str),
    "account": ("slurm_account", str),
    "qos": ("slurm_qos", str),
    "constraint": ("slurm_constraint", str),
    "gres": ("slurm_gres", str),
}
"""Names here, names of submitit and their types: minutes, GiB of a job, numbers for each job, and Slurm's own words."""
NAMES = ("array", "cluster", *PARAMETERS)


@dataclass(frozen=True)
class JobOptions:
    """How many jobs, on what (None: what submitit finds here), with which parameters of submitit."""

    jobs: int = 1
    cluster: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def parse_slurm(text: str | None) -> JobOptions:
    """Read `name=value,...`. Raises `UsageError` for an unknown name and for a value of another type."""
    given = _pairs(text or "")
    cluster = given.pop("cluster", None)
    if cluster is not None and cluster not in CLUSTERS:
        raise UsageError(f"--slurm cluster={cluster}: it is one of {', '.join(CLUSTERS)}{near(cluster, CLUSTERS)}")
    jobs = _value("array", int, given.pop("array", "1"))
    parameters: dict[str, Any] = {"timeout_min": DEFAULT_MINUTES}
    for name, value in given.items():
        known_as, kind = PARAMETERS[name]
        parameters[known_as] = _value(name, kind, value)
    return JobOptions(jobs, cluster, parameters)


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if name not in NAMES:
            raise UsageError(f"--slurm: unknown name {name!r}{near(name, NAMES)}; known are {', '.join(NAMES)}")
        if not equals or not value:
            raise UsageError(f"--slurm: {name} needs a value, as in {name}=...")
        if name in found:
            raise UsageError(f"--slurm: {name} stands twice")
        found[name] = value
    return found


def _value(name: str, kind: type, text: str) -> Any:
    if kind is str:
        return text
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"--slurm {name}={text}: it must be a number") from None
    if not 0 < value < 1e9:
        raise UsageError(f"--slurm {name}={text}: it must be a number above 0")
    return value
