"""Backbones of which there are several trainings: which one an argument means."""

from collections.abc import Mapping


def training(name: str, argument: str | None, sha256: Mapping[int, str]) -> tuple[int, str]:
    """The number of the training that `name:argument` means, and the digest of its weights.

    Args:
        name: of the backbone.
        argument: what stands behind the colon; None for the first training.
        sha256: digests by number, of those that come with the package.

    Returns:
        The number and the digest.

    Raises:
        ValueError: an argument that is no number, and a training that does not come with the package.

    Example:
        >>> training("scratch_mixture", "1", {0: "ab", 1: "cd"})
        (1, 'cd')
    """
    asked = "0" if argument is None else argument
    shipped = {str(number): number for number in sha256}
    if asked not in shipped:
        known = ", ".join(shipped) or "none"
        raise ValueError(f"{name}:{asked}: no such training comes with the package; those that do: {known}")
    return shipped[asked], sha256[shipped[asked]]
