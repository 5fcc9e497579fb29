"""What of the machine a process may use, from files as Linux has them."""

from pathlib import Path

import psutil
import pytest

from sparsebench.suites.runner.identity.machine import cores, fast_dtype, memory_bytes, processor, processor_type


def control_groups(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    """A tree of control groups; `files` are paths with __ for / and _dot_ for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "own").write_text(own)
    return folder, folder / "own"


def test_the_tightest_bound_of_all_groups_above_counts(tmp_path: Path) -> None:
    groups, own = control_groups(
        tmp_path,
        "0::/jobs/one\n",
        jobs__memory_dot_max="3000000\n",
        jobs__one__memory_dot_max="max\n",
        jobs__one__cpu_dot_max="50000 100000\n",
    )
    assert memory_bytes(groups, own) == 3_000_000
    assert cores(groups, own) == 1


def test_without_bounds_it_is_the_machine(tmp_path: Path) -> None:
    groups, own = control_groups(tmp_path, "0::/\n", cpu_dot_max="max 100000\n", memory_dot_max="max\n")
    assert memory_bytes(groups, own) == psutil.virtual_memory().total
    assert cores(groups, own) >= 1


def test_the_older_control_groups_too(tmp_path: Path) -> None:
    groups, own = control_groups(tmp_path, "9:memory:/box\n", memory__memory_dot_limit_in_bytes="4000000\n")
    assert memory_bytes(groups, own) == 4_000_000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel name\t: AMD EPYC\n"
            "flags\t\t: fpu avx avx2 avx512f avx512_vnni avx512_bf16\n\nvendor_id : other\n",
            "AMD family 25, avx512_bf16",
        ),
        (
            "vendor_id : GenuineIntel\ncpu family : 6\nmodel name : Xeon\n"
            "flags : avx2 avx512f avx512_bf16 avx512_fp16 amx_bf16 amx_int8\n",
            "Intel family 6, avx512_fp16, amx_int8, amx_bf16",
        ),
        (
            "CPU implementer : 0x41\nCPU part : 0xd40\nFeatures : asimd sve i8mm bf16\n",
            "ARM 0x41 part 0xd40, sve, i8mm, bf16",
        ),
    ],
)
def test_the_type_of_a_processor(tmp_path: Path, text: str, kind: str) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert processor_type(file) == kind


@pytest.mark.parametrize(
    ("device", "flags", "dtype"),
    [
        ("cpu", "flags : avx2 avx512f avx512_bf16\n", "bfloat16"),
        ("cpu", "flags : avx2 amx_bf16\n", "bfloat16"),
        ("cpu", "Features : asimd bf16\n", "bfloat16"),
        ("cpu", "flags : avx2 avx512f\n", "float32"),
        ("cpu", "", "float32"),
        ("cuda", "", "bfloat16"),
    ],
)
def test_bfloat16_only_where_its_products_are_fast(tmp_path: Path, device: str, flags: str, dtype: str) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(flags)
    assert fast_dtype(device, file) == dtype


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert processor(tmp_path / "none") and processor_type(tmp_path / "none")
