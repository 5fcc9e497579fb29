"""The way back that loses something: each mixture becomes one dense FFN of its most used experts."""
