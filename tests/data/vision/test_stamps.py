"""Which stamps are photographs, in which part they are, and that the pinned ones are what the rule says."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import ChecksumError, DataError
from sparsebench.data.sources import path
from sparsebench.data.vision.stamps import KINDS, PARTS, is_photograph, kind_of, parted, read_stamp, stamps

from .conftest import speckled


def test_a_speckled_cut_out_is_a_photograph_and_others_are_not() -> None:
    photograph = speckled(0)
    assert is_photograph(photograph)
    flat = photograph.copy()
    flat[..., :3] = np.array([200, 30, 30])
    striped = photograph.copy()
    striped[..., :3] = (np.arange(64) % 2 * 255)[None, :, None]  # neighbours differ, but there are two colours
    whole = photograph.copy()
    whole[..., 3] = 255
    light = photograph.copy()
    light[..., 3] //= 2
    for other in (flat, striped, whole, light, speckled(0, 40, 59)):
        assert not is_photograph(other)


def test_stamps_of_one_name_stay_together_and_parts_are_as_large_as_they_can_be() -> None:
    names = [*(f"a/apple_{number}.png" for number in range(6)), *(f"a/{letter * 3}.png" for letter in "bcdefghijklm")]
    dealt = parted(names)
    assert sorted(name for own in dealt.values() for name in own) == sorted(names)
    assert {part: len(own) for part, own in dealt.items()} == {"train": 6, "val": 3, "test": 9}
    assert sorted(sum(name.startswith("a/apple") for name in own) for own in dealt.values()) == [0, 0, 6]
    assert parted(names[::-1]) == dealt


def test_no_stamp_is_in_two_parts(stamp_root: Path) -> None:
    found = stamps()
    assert list(found) == list(PARTS)
    names = {part: {one.name for own in kinds.values() for one in own} for part, kinds in found.items()}
    assert {part: len(own) for part, own in names.items()} == dict.fromkeys(PARTS, len(KINDS))
    assert len(set.union(*names.values())) == 3 * len(KINDS)
    for kinds in found.values():
        for kind, own in kinds.items():
            assert {kind_of(str(Path(one.name).parent)) for one in own} == {kind}
            assert all(is_photograph(one.pixels) for one in own)


def test_an_installed_picture_that_is_another_is_refused(stamp_root: Path) -> None:
    file = stamp_root / "animals/birds/ash.png"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ChecksumError, match=r"ash\.png: wrong checksum.*--reinstall tuxpaint-stamps-default"):
        stamps()


def test_without_the_package_one_line_says_the_command(stamp_root: Path) -> None:
    (stamp_root / "animals/birds/ash.png").unlink()
    with pytest.raises(DataError, match="run `sparsebench prepare --source tuxpaint-stamps` once with network"):
        stamps()


def test_what_is_no_picture_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png is no readable picture"):
        read_stamp(tmp_path / "a.png")
    Image.new("RGBA", (8, 8)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png is empty"):
        read_stamp(tmp_path / "b.png")


def test_empty_margins_are_cut_off(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[5:9, 10:17] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_stamp(tmp_path / "a.png").shape == (4, 7, 4)


@pytest.mark.data
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the stamps are a Debian package")
def test_every_pinned_stamp_is_a_photograph_and_the_licence_is_the_stated_one() -> None:
    found = [one for kinds in stamps().values() for own in kinds.values() for one in own]
    assert len(found) == 239
    assert [one.name for one in found if not is_photograph(one.pixels)] == []
    stated = path("tuxpaint-stamps", "licence").read_text(encoding="utf-8")
    assert {line for line in stated.splitlines() if line.startswith("License:")} == {"License: GPL-2"}
    assert "(at your option) any later version" in " ".join(stated.split())
