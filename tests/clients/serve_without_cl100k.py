"""`embedstack` where no package carries OpenAI's vocabulary."""

import sys

from embedstack.cli import main
from embedstack.dialects.cl100k import CARRIERS

for package, _ in CARRIERS:
    sys.modules[package] = None  # type: ignore[assignment]  # so that it is not found
sys.exit(main())
