"""Runs the command `polyrelay` as `python -m cli`."""

from cli.main import main

main()
