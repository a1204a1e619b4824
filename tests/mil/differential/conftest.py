"""Makes the modules beside the tests importable, as they are for `harvest.py` when it runs as a script."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
