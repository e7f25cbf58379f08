"""`python -m cli` is `polyrelay`."""

from cli.main import main

main()
