"""Answers to open questions, in the files that the benchmarks with a judge read."""
