from pathlib import Path

import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.proxy_runs import ProxyRun
from sparsebench.data.mixtures.swarm_files import read_swarm

RATIOS = "run,name,index,dclm,wiki:en\nr1,swarm-0000,0,0.45,0.55\nr2,swarm-0001,1,0.6,0.4\nr3,swarm-0002,2,1.0,0.0\n"
METRICS = ",run_id,name,arc_bpb,mmlu_bpb\n0,r2,swarm-0001,1.15,0.91\n1,r1,swarm-0000,1.23,0.87\n2,r9,other,1,1\n"


def files(folder: Path, ratios: str, metrics: str) -> tuple[Path, Path]:
    for name, text in (("ratios.csv", ratios), ("metrics.csv", metrics)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "ratios.csv", folder / "metrics.csv"


def test_runs_of_both_files_with_their_shares_and_scores(tmp_path: Path):
    assert read_swarm(*files(tmp_path, RATIOS, METRICS)) == [
        ProxyRun({"dclm": 0.45, "wiki:en": 0.55}, {"arc_bpb": 1.23, "mmlu_bpb": 0.87}),
        ProxyRun({"dclm": 0.6, "wiki:en": 0.4}, {"arc_bpb": 1.15, "mmlu_bpb": 0.91}),
    ]


@pytest.mark.parametrize(
    ("ratios", "metrics", "words"),
    [
        (RATIOS.replace("run,", "id,"), METRICS, "ratios.csv has no column 'run' or 'run_id', but id"),
        (RATIOS.replace("r2", "r1"), METRICS, "ratios.csv has the run 'r1' twice"),
        (RATIOS, METRICS.replace("0.91", "?"), "mmlu_bpb of the run 'r2' is '\\?', which is no number"),
        (RATIOS, METRICS.replace("0.91", "nan"), "mmlu_bpb of the run 'r2' is nan; leave"),
        (RATIOS, METRICS.replace("r1", "r7").replace("r2", "r8"), "no run in common"),
    ],
)
def test_what_is_no_swarm(tmp_path: Path, ratios: str, metrics: str, words: str):
    with pytest.raises(MixtureError, match=words):
        read_swarm(*files(tmp_path, ratios, metrics))
