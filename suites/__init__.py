"""What is measured: methods, tasks, the three suites and the runner."""
