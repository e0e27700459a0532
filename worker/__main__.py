"""``python -m worker`` is ``acuworker``."""

from worker.cli import main

main()
