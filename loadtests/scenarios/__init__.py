"""What one visitor does. Each scenario runs under our runner and under plain `locust`."""
