"""``python -m waystation`` is the ``waystation`` command."""

from waystation.cli.main import main

main()
