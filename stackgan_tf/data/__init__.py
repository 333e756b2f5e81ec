"""Data sets through tensorflow-datasets, and the input pipeline."""
