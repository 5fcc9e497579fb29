"""Experts: storage, and the fastest exact way to compute them on the machine at hand."""

from .bank import ExpertBank

__all__ = ["ExpertBank"]
