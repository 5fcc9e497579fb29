"""Adapter files: our own and PEFT's."""
