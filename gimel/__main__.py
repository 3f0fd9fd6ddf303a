"""`python -m gimel`."""

from gimel.cli import main

main()
