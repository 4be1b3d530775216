"""What an evaluation says of how far it is -> a bar for people who look, and nothing for those who do not."""

import sys
from types import TracebackType
from typing import NoReturn

from tqdm import tqdm

from embedstack.catalog.network import to_stderr


class EvalBoard:
    """Shows an evaluation while it runs: a bar for each thing that is done, gone once it is.

    Args:
        is_quiet: nothing is said.
        is_shown: whether bars are drawn; asked of stderr if None.
    """

    def __init__(self, *, is_quiet: bool = False, is_shown: bool | None = None) -> None:
        self._is_quiet = is_quiet
        self._is_shown = (sys.stderr.isatty() if is_shown is None else is_shown) and not is_quiet
        self._bar: tqdm[NoReturn] | None = None
        self._what = ""

    def __enter__(self) -> "EvalBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, what: str, done: int, total: int) -> None:
        """So much of it is done."""
        if not self._is_shown:
            return
        if self._bar is None or what != self._what or done < self._bar.n:
            self._close()
            self._what, self._bar = what, tqdm(total=total, desc=what, leave=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._close()

    def say(self, text: str) -> None:
        """A line for people; no bar stands in it."""
        self._close()
        if not self._is_quiet:
            to_stderr(text)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
