"""What records say of compression, read and written in one place."""
