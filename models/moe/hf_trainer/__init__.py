"""For users of transformers' `Trainer`: callbacks for mixtures, and a stock export over many processes.

Needs nothing of `suites`. transformers is imported with `balance_callback` and `health_callback` only.
"""
