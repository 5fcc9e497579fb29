"""Adapters and other parameter-efficient tuning."""
