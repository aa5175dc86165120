"""The highest rate that keeps the limits, what comes beyond it, and the law behind it."""
