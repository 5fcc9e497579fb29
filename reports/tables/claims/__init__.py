"""Published claims: judged by the records, in words, and as the summary of a study."""

from .claim import OWN, VERDICTS, Check, Claim, ClaimVerdict
from .evidence import MIN_SEEDS
from .judging import Finding, Roles, Step, judge

__all__ = ["MIN_SEEDS", "OWN", "VERDICTS", "Check", "Claim", "ClaimVerdict", "Finding", "Roles", "Step", "judge"]
