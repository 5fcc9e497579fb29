"""Speed runs: the JSON of pytest-benchmark."""

import json

import pytest

from sparsebench.reports.speed import SpeedError, read_speed


def benchmark(group, name, median, **extra):
    return {
        "group": group,
        "name": name,
        "stats": {"median": median, "iqr": 0.001, "rounds": 20},
        "extra_info": extra,
    }


def test_ratios_are_those_to_the_peer_of_the_group(tmp_path):
    path = tmp_path / "speed.json"
    runs = [
        benchmark("moe", "test_ours", 0.01, floor=0.008),
        benchmark("moe", "test_peer", 0.03, peer=True, label="theirs"),
        benchmark(None, "test_alone", 0.01),
    ]
    machine = {"cpu": {"brand_raw": "A CPU"}, "python_version": "3.11"}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": runs}))
    report = read_speed(path)
    assert report.machine == "A CPU, Python 3.11"
    lines = {line.name: line for line in report.lines}
    assert [line.name for line in report.lines] == ["theirs", "test_ours", "test_alone"]
    assert lines["test_ours"].ratio == pytest.approx(3)
    assert lines["theirs"].ratio is None
    assert lines["test_alone"].ratio is None
    assert lines["test_ours"].floor == 0.008


def test_a_real_file_of_pytest_benchmark(tmp_path):
    import subprocess
    import sys

    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.benchmark(group='sum')\n"
        "@pytest.mark.parametrize('peer', [False, True])\n"
        "def test_sum(benchmark, peer):\n"
        "    benchmark.extra_info['peer'] = peer\n"
        "    benchmark.pedantic(sum, args=(range(2000),), rounds=5)\n"
    )
    path = tmp_path / "speed.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--benchmark-json={path}", "test_it.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    ours = next(line for line in read_speed(path).lines if not line.peer)
    assert ours.ratio > 0
    assert ours.rounds == 5


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"benchmarks": [{}]}', '{"benchmarks": 3}'])
def test_anything_else_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "speed.json"
    path.write_text(content)
    with pytest.raises(SpeedError, match="make speed") as error:
        read_speed(path)
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(SpeedError):
        read_speed(tmp_path / "none.json")
