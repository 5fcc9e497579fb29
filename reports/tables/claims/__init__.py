"""Published claims: judged by the records, in words, and as the summary of a study."""

from .judging import MIN_SEEDS, OWN, VERDICTS, Claim, ClaimVerdict, Finding, Roles, Step, judge

__all__ = ["MIN_SEEDS", "OWN", "VERDICTS", "Claim", "ClaimVerdict", "Finding", "Roles", "Step", "judge"]
