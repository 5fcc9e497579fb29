"""Conformance batteries, of methods and of routers, splits and criteria."""
