"""``python -m cryotypes.cli``."""

from cryotypes.cli import main

main(prog_name="cryotypes")
