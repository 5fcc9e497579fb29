"""What a model sees and does on calibration data: hooks, and samples of its feed-forward layers."""
