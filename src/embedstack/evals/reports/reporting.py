"""A report or a calibration in each form in which people and programs read it: one place to import them from."""

from embedstack.evals.reports.as_json import calibration_from_json, from_json, to_json
from embedstack.evals.reports.as_markdown import to_markdown
from embedstack.evals.reports.as_page import to_html
from embedstack.evals.reports.as_text import to_text
from embedstack.evals.reports.calibrated import calibration_html, calibration_markdown, calibration_text

__all__ = [
    "calibration_from_json", "calibration_html", "calibration_markdown", "calibration_text", "from_json", "to_html",
    "to_json", "to_markdown", "to_text",
]  # fmt: skip
