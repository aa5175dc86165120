"""A beside B: blocks of runs, and what they allow to say."""
