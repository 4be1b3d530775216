"""Where RunPod's own OpenAPI document of its REST v2 is, which is not part of the project."""

import os
from pathlib import Path

VARIABLE = "EMBEDSTACK_RUNPOD_OPENAPI"


def document_path() -> Path | None:
    """The file that the variable names, else the one beside the labelled sets; None where there is none."""
    data = os.environ.get("EMBEDSTACK_TEST_DATA")
    beside = Path(data).parent / "reference/runpod-openapi-v2.json" if data else None
    given = os.environ.get(VARIABLE)
    path = Path(given) if given else beside
    return path if path is not None and path.is_file() else None
