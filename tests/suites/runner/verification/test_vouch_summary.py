"""What `vouch` says in the end."""

from pathlib import Path

from sparsebench.reports.records.vouchers import Survey, Voucher, Vouchers, append
from sparsebench.suites.runner.planning.plan_file import write_plan
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.verification.vouch_summary import exit_code, to_text


def test_what_is_outside_is_said_with_the_command_that_makes_it_again(tmp_path: Path) -> None:
    append(tmp_path, Survey(commit="c" * 40, paths=[("a", "x", 3)]))
    write_plan(Profile("mine", (SuitePlan("llm", (), (), ()),)), [], tmp_path, "vouched")
    standing = Vouchers(tmp_path).standing()
    assert exit_code([standing]) == 0
    assert to_text({tmp_path: standing}).splitlines()[0] == (
        f"{tmp_path}: 0 of 1 code paths hold at cccccccc; 1 have not been run again yet"
    )
    fields = {"processor_type": "p", "libraries": [], "metrics": {}, "numbers": {}, "reason": ""}
    fields |= {"drawn": "path", "code": "a", "code_now": "x", "commit": "c" * 40, "other_errors": False}
    append(tmp_path, Voucher(id="1", outcome="outside", seconds=1.0, **fields))
    standing = Vouchers(tmp_path).standing()
    assert exit_code([standing]) == 1
    assert to_text({tmp_path: standing}).splitlines()[1] == f"    sparsebench run --profile mine --out {tmp_path}"
