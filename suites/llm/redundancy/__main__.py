"""How well the loss after REAP is known beforehand, from measures of the uncut mixture.

    python -m sparsebench.suites.llm.redundancy OUT

Looks at every mixture that comes with the package and at some that it makes of the small Llama (minutes each), and
writes OUT/<mixture>.json as each is done, and OUT/points.json and OUT/predictor.md at the end. The same command goes
on after a stop; what is there is not made again, so remove the file of a mixture whose weights have changed. What it
found is in the repository, in `points.json` and `predictor.md` beside this file.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from .mixtures import sources
from .points import Points, points_of, text
from .prediction import Point
from .table import to_markdown


def main(out: Path) -> None:
    """Points of all mixtures, then the table."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    calibration_NT, test_NT = text("calibration"), text("test")
    points: Points = {}
    for source in sources():
        file = out / f"{source.name.replace(':', '_').replace(',', '').replace(' ', '_')}.json"
        if not file.exists():
            found = points_of(source.name, source.origin, source.load(), calibration_NT, test_NT)
            content = {kind: [asdict(point) for point in members] for kind, members in found.items()}
            file.write_text(json.dumps(content, indent=1) + "\n")
            sys.stdout.write(f"{source.name}: {file.name}\n")
        for kind, members in json.loads(file.read_text()).items():
            points.setdefault(kind, []).extend(Point(**member) for member in members)
    content = {kind: [asdict(point) for point in members] for kind, members in points.items()}
    (out / "points.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "predictor.md").write_text(to_markdown(points))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
