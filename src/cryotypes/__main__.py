"""``python -m cryotypes``."""

from cryotypes.cli import main

main(prog_name="cryotypes")
