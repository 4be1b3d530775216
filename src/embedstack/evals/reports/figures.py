"""Numbers and intervals -> as they stand in a report: measures with four digits, milliseconds with one. Pure."""

from math import inf, isinf

from embedstack.evals.outcome import Interval

NONE = "–"


def figure(value: float) -> str:
    """Of a measure."""
    return _infinite(value) or f"{round(value, 4) + 0.0:.4f}"


def signed(value: float) -> str:
    """Of a difference."""
    return _infinite(value) or f"{round(value, 4) + 0.0:+.4f}"


def milliseconds(value: float) -> str:
    """Without the unit, which stands above or behind."""
    return _infinite(value) or f"{round(value, 1) + 0.0:,.1f}"


def _infinite(value: float) -> str:
    return "" if not isinf(value) else "∞" if value == inf else "-∞"


def measured(interval: Interval | None) -> str:
    """0.8123 [0.7990, 0.8250]."""
    return NONE if interval is None else f"{figure(interval.value)} {span(interval)}"


def span(interval: Interval) -> str:
    """[0.7990, 0.8250]."""
    return f"[{figure(interval.low)}, {figure(interval.high)}]"


def timed(interval: Interval) -> str:
    """12.3 [11.9, 14.0]."""
    low, high = milliseconds(interval.low), milliseconds(interval.high)
    return f"{milliseconds(interval.value)} [{low}, {high}]"


def share(part: float) -> str:
    """0.2 %, 34 %, 100 %."""
    return f"{100 * part:.2g} %" if 0 < part < 0.0995 else f"{100 * part:.0f} %"


def seconds(value: float) -> str:
    """With its unit."""
    return f"{value:,.2f} s" if value < 9.995 else f"{value:,.1f} s" if value < 99.95 else f"{value:,.0f} s"


def difference(delta: Interval) -> str:
    """+0.0210 [+0.0080, +0.0340]."""
    return f"{signed(delta.value)} [{signed(delta.low)}, {signed(delta.high)}]"
