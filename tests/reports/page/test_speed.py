"""Speed runs: the JSON of pytest-benchmark."""

import io
import json

import pytest
from rich.console import Console

from sparsebench.reports.page.speed import SpeedError, read_speed, to_terminal


def benchmark(group, name, median, **extra):
    return {
        "group": group,
        "name": name,
        "stats": {"median": median, "iqr": 0.001, "rounds": 20},
        "extra_info": extra,
    }


def test_ratios_are_those_to_the_fastest_peer_of_the_group(tmp_path):
    path = tmp_path / "speed.json"
    runs = [
        benchmark("moe", "test[a]", 0.01, role="ours", variant="ours"),
        benchmark("moe", "test[b]", 0.03, role="peer", variant="theirs"),
        benchmark("moe", "test[c]", 0.04, role="peer", variant="slower"),
        benchmark("moe", "test[d]", 0.008, role="floor", variant="least work"),
        benchmark("moe", "test[e]", 0.001, role="reference", variant="dense"),
        benchmark(None, "test_alone", 0.01),
    ]
    machine = {"cpu": {"brand_raw": "A CPU"}, "python_version": "3.11"}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": runs}))
    report = read_speed(path)
    assert report.machine == "A CPU, Python 3.11"
    lines = {line.name: line for line in report.lines}
    assert list(lines) == ["ours", "theirs", "slower", "dense", "least work", "test_alone"]
    assert lines["ours"].ratio == pytest.approx(3)
    assert lines["ours"].floor == pytest.approx(0.8)
    assert all(line.ratio is None and line.floor is None for name, line in lines.items() if name != "ours")


def test_what_falls_short_or_fails_is_said(tmp_path):
    path = tmp_path / "speed.json"
    wanted = {"test": "tests/speed/test_x.py::test_a[8 bits]", "what": "times as fast as bfloat16", "wanted": 2.0}
    bounds = {"at_most": False, "excuse": None}
    targets = [
        {**wanted, **bounds, "reached": 1.57, "met": False},
        {**wanted, **bounds, "reached": 2.1, "met": True},
        {**wanted, **bounds, "reached": 1.9, "met": False, "excuse": "is at its floor"},
    ]
    path.write_text(json.dumps({"benchmarks": [], "targets": targets, "failed": ["test_b"]}))
    short, failed = read_speed(path).shortfalls
    assert short == (
        "2 of 3 speed targets not reached: test_a[8 bits]: 1.57 times as fast as bfloat16, wanted 2 at the least; "
        "test_a[8 bits]: 1.9 times as fast as bfloat16, wanted 2 at the least (is at its floor)"
    )
    assert failed == "1 speed tests failed: test_b"


def test_the_terminal_shows_ours_beside_the_fastest_peer_and_whether_that_was_wanted(tmp_path):
    runs = [
        benchmark("moe", "test[a]", 0.01, role="ours", variant="plain", floor_seconds=0.004, scatters=True),
        benchmark("moe", "test[b]", 0.03, role="peer", variant="theirs"),
        benchmark("moe", "test[c]", 0.04, role="peer", variant="slower"),
        benchmark("alone", "test[d]", 0.01, role="ours", variant="nobody else's"),
        benchmark("lora", "test[e]", 0.04, role="ours", variant="[red]brackets[/red]"),
        benchmark("lora", "test[f]", 0.03, role="peer", variant="peft"),
    ]
    wanted = {"what": "times as fast", "wanted": 2.0, "reached": 1.0, "at_most": False, "excuse": None}
    targets = [
        {**wanted, "test": test, "met": met}
        for test, met in (("test[a]", True), ("test[e]", True), ("test[e]", False), ("test[e]", True))
    ]
    for run in runs:
        run["fullname"] = run["name"]
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"benchmarks": runs, "targets": targets}))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_terminal(read_speed(path)))
    lines = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert lines[5][0] == "~:", "the legend"
    assert lines[2:5] == [
        ["alone", "nobody", "else's", "–", "–", "–", "–"],
        ["lora", "[red]brackets[/red]", "peft", "0.75", "–", "missed"],
        ["moe", "plain", "theirs", "3.00", "~", "2.50", "met"],
    ]


def test_a_real_file_of_pytest_benchmark(tmp_path):
    import os
    import subprocess
    import sys

    # A worker of a parallel run tells its children so, and there benchmarks are off.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.benchmark(group='sum')\n"
        "@pytest.mark.parametrize('role', ['ours', 'peer'])\n"
        "def test_sum(benchmark, role):\n"
        "    benchmark.extra_info['role'] = role\n"
        "    benchmark.pedantic(sum, args=(range(2000),), rounds=5)\n"
    )
    path = tmp_path / "speed.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--benchmark-json={path}", "test_it.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=environment)
    ours = next(line for line in read_speed(path).lines if line.role == "ours")
    assert ours.ratio > 0
    assert ours.rounds == 5


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"benchmarks": [{}]}', '{"benchmarks": 3}'])
def test_anything_else_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "speed.json"
    path.write_text(content)
    with pytest.raises(SpeedError, match="sparsebench speed") as error:
        read_speed(path)
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(SpeedError):
        read_speed(tmp_path / "none.json")
