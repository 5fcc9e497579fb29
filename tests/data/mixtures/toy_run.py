"""A toy training that a test starts, kills and starts again: python toy_run.py FOLDER RANK RANKS STEPS KILL.

Each rank takes its batch of every step from the stream, writes down what it was, and after every tenth step the
strategy moves the weights by losses that depend on what was drawn. Rank 0 keeps a checkpoint of every seventh step.
It goes on from `start.json`, where there is one. With KILL above 0, the process kills itself in that step, as kill -9
does.
"""

import json
import os
import signal
import sys
from pathlib import Path

from sparsebench.data.mixtures import MixtureStream, Signal, strategy

ROWS = {"code": range(40), "math": range(9), "chat": range(300)}


def main(folder: Path, rank: int, ranks: int, steps: int, kill: int) -> None:
    mixing = strategy("reference_loss", list(ROWS), reference=dict.fromkeys(ROWS, 0.5), eta=3.0)
    stream = MixtureStream(ROWS, mixing.weights, batch_size=4, collate=list, seed=11)
    checkpoint = folder / "checkpoint.json"
    start = folder / "start.json"
    first = 0
    if start.exists():
        state = json.loads(start.read_text())
        stream.load_state_dict(state["stream"])
        mixing.load_state_dict(state["mixing"])
        first = state["step"]
    batches = iter(stream)
    with (folder / f"seen-{rank}.jsonl").open("a") as log:
        for step in range(first, steps):
            # A step has four batches, whoever takes them: one rank all, each of two ranks every other one.
            taken = [next(batches) for _ in range(4)]
            if step + 1 == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            for number in range(rank, 4, ranks):
                line = {"step": step, "batch": number, "rows": taken[number], "weights": stream.weights}
                log.write(json.dumps(line) + "\n")
            log.flush()
            if (step + 1) % 10 == 0:
                counts = stream.counts()
                losses = {name: 20 / (10 + counts[name]) + sum(taken[0]) / 1e4 for name in ROWS}
                stream.set_weights(mixing.update(Signal(losses=losses, steps=step + 1)))
            if rank == 0 and (step + 1) % 7 == 0:
                state = {"step": step + 1, "stream": stream.state_dict(), "mixing": mixing.state_dict()}
                partial = checkpoint.with_suffix(".partial")
                partial.write_text(json.dumps(state))
                partial.replace(checkpoint)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
