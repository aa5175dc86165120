"""What figures mean: limits over seconds, phases, Little's law, the mix, and whether a run can be believed."""
