"""Published claims: judged by the records, in words, and as the summary of a study."""

from .claim import VERDICTS, Check, Claim, ClaimVerdict
from .evidence import MIN_SEEDS
from .judging import Finding, Roles, Step, judge

__all__ = ["MIN_SEEDS", "VERDICTS", "Check", "Claim", "ClaimVerdict", "Finding", "Roles", "Step", "judge"]
