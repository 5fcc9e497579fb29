"""The cache: folders built whole, sealed with the digests of their files, verified at each use, and what was read."""

from .digests import sha256_of
from .folders import build_once, cache_root, is_complete, verify

__all__ = ["build_once", "cache_root", "is_complete", "sha256_of", "verify"]
