"""Particle poses: one module (or folder) a format."""
