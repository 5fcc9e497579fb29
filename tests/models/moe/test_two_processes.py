"""DDP with idle experts and FSDP2 give the outputs and gradients of one process: `two_processes.py`, by gloo."""

from pathlib import Path

from ...gloo import run_program


def test_outputs_and_gradients_are_those_of_one_process(tmp_path: Path) -> None:
    run_program("tests.models.moe.two_processes", tmp_path, 300)
