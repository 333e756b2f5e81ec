"""Measures of what a generator draws."""
