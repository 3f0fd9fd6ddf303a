"""The program that `python -m gimel` runs."""

from gimel.cli import main

main()
