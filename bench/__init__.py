"""Measurements side by side: one file, one question, one printed ratio."""
