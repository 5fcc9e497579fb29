"""Mixtures with fewer experts: dropped, merged, or replaced by what they gave on average."""
