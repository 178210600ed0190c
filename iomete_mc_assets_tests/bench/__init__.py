"""What benchmarks share before any of them is imported."""

import logging

# pycarlo warns of seven enum values of its own schema each time it is imported
logging.getLogger("pycarlo.lib.types").setLevel(logging.ERROR)
