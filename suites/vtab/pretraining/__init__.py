"""Pre-trains the small ViTs that come with the package, or others: on drawn images, and on CIFAR-10."""
