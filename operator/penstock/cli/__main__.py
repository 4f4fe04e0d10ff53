"""`python3 -m penstock.cli`: the command, from a checkout."""

from penstock.cli.main import main

main()
