"""What records say of mixtures of data sets whose weights move, read and written in one place."""
