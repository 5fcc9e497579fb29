"""Calibration with REAP Expert Drop, and SparseGPT, of SmolLM2 with eight experts: seconds and the most memory.

Each in a process of its own; the floor is one pass of the same tokens through the blocks, without the head.
`SPARSEBENCH_SPEED=full` takes SmolLM2 in 30 layers and 128 x 512 tokens, two threads, by the clock on the wall: on a
machine that does nothing else. Else it is SparseGPT alone, of a small model on 8,192 tokens, one thread, in CPU
seconds: two threads that wait for each other on a busy machine take those, too.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .compression_run import Taken, Task
from .rounds import REPLAYED
from .scope import FULL

pytestmark = [pytest.mark.data, pytest.mark.timeout(3600)]
PROGRAM = Path(__file__).with_name("compression_run.py")
THREADS = 2 if FULL else 1
GIB = 2**30


class Limit(NamedTuple):
    """Minutes and memory that the work may take in full; passes of the same tokens through the blocks that it may take.

    `least` are the passes that the products alone come to: a pass, and what is multiplied in addition to it.
    """

    seconds: float
    passes: float
    least: float


LIMITS = {
    "REAP Expert Drop": Limit(seconds=5 * 60, passes=2.0, least=1.0),
    "SparseGPT": Limit(seconds=20 * 60, passes=6.0, least=2.35),
}
MOST = 4 * GIB if FULL else 1.5 * GIB


@pytest.fixture(scope="module", params=LIMITS if FULL else ["SparseGPT"])
def taken(request: pytest.FixtureRequest) -> tuple[str, Taken]:
    task = Task(model="small", work=request.param, rows=32, length=256, batch=8, threads=THREADS)
    if FULL:
        task = Task(model="smollm2", work=request.param, rows=128, length=512, batch=8, threads=THREADS)
    done = subprocess.run([sys.executable, PROGRAM], input=json.dumps(asdict(task)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, Taken(**json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("role", ["floor", "ours"])
def test_time_and_memory(role: str, taken: tuple[str, Taken], benchmark: Any, target: Any) -> None:
    work, found = taken
    limit = LIMITS[work]
    one_pass = sum(found.forward) / len(found.forward)
    passes = found.work_cpu / found.forward_cpu
    if FULL:
        passes = found.seconds / one_pass
    benchmark.group = f"{work} of {'SmolLM2, 128 x 512 tokens' if FULL else 'a small model'}, 8 experts, float32"
    benchmark.extra_info.update(
        role=role,
        variant=work if role == "ours" else "one pass of the same tokens",
        dtype="float32",
        passes=passes,
        least_passes=limit.least,
        gigaflops_per_second=found.operations / one_pass / 1e9,
        memory_bytes=found.most,
        memory_before=found.before,
        weights_bytes=found.weights,
        threads=THREADS,
        clock="wall",
    )
    seconds = [found.seconds] if role == "ours" else list(found.forward)
    benchmark.pedantic(REPLAYED.replay(seconds), rounds=len(seconds), iterations=1)
    assert found.most is None or found.most <= MOST, found
    if role == "ours":
        target("passes of the same tokens", passes, at_most=limit.passes)
    if role == "ours" and FULL:
        target("seconds", found.seconds, at_most=limit.seconds)
