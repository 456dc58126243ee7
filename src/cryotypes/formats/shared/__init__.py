"""What formats of several kinds share; no format is here."""
