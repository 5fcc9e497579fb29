"""What methods of several rooms share, and methods that only train."""
