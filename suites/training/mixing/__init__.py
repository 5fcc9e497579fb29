"""Training on a mixture of data sets whose weights move while it runs."""
