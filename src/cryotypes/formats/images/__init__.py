"""Images: one module (or folder) a format."""
