"""What commands print."""

import io
import json
import subprocess
import sys

import pytest

from sparsebench.suites.runner.cli.output import announce, print_json, say, use_plain_signs


def test_signs_that_a_stream_cannot_write_become_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    use_plain_signs()
    sys.stdout.write("−1.5 ± 0.2 × 3, Å\n")
    sys.stdout.flush()
    assert raw.getvalue() == b"-1.5 +- 0.2 x 3, ?\n"


def test_data_stay_alone_on_stdout(capsys: pytest.CaptureFixture) -> None:
    announce("planning quick", err=True)
    print_json({"sign": "×"})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"sign": "×"} and out.isascii()
    assert err == "planning quick ...\n"


def test_the_line_comes_before_anything_heavy() -> None:
    """Before torch, pandas or a method is imported, so that something stands on the screen at once."""
    code = (
        "import sys\n"
        "from sparsebench.suites.runner.cli import output\n"
        "from sparsebench.suites.runner.cli.app import app\n"
        "from sparsebench.suites.runner.cli import run_commands, result_commands, list_commands\n"
        "def stop(text, err=False):\n"
        "    heavy = {'torch', 'numpy', 'pandas', 'yaml', 'scipy', 'rich.table'} & set(sys.modules)\n"
        "    print(text, heavy); raise SystemExit(3 if heavy else 0)\n"
        "for module in (run_commands, result_commands, list_commands): module.announce = stop\n"
        "sys.argv = ['sparsebench', *sys.argv[1:]]\n"
        "app()"
    )
    for arguments in (["plan"], ["run"], ["prepare"], ["report", "."], ["check"], ["doctor"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_escape_codes_of_others_are_written_out(capsys: pytest.CaptureFixture) -> None:
    say("unknown method \x1b[31m", err=True)
    announce("planning \x1b[31m")
    out, err = capsys.readouterr()
    assert (out, err) == ("planning \\x1b[31m ...\n", "unknown method \\x1b[31m\n")
