"""Packages of one's own, written from templates."""
