"""Known answers, and what a host's generator makes of them."""
