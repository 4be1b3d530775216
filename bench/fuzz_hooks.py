"""What schemathesis runs in its own process: where any model will do, bodies that fit name one that is served."""

import os

import schemathesis

TOKENS = ("tokenize", "detokenize", "decode")  # as in fuzz_cases.py


@schemathesis.hook
def before_call(context, case, kwargs):
    """Only bodies that are meant to fit; the others stay as they were drawn."""
    del context, kwargs
    is_sound = case.meta is not None and case.meta.generation.mode.is_positive
    if is_sound and case.path.endswith(TOKENS) and isinstance(case.body, dict):
        case.body["model"] = os.environ["FUZZ_MODEL"]
