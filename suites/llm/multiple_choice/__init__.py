"""Tasks that score continuations of a context: by lm-evaluation-harness, or after training on the questions."""
