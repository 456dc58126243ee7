"""Tilt-series alignments: one module (or folder) a format."""
