"""Labelled texts and questions with fixed parts."""
