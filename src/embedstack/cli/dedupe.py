"""`embedstack dedupe`: what is in files, tables and collections more than once or nearly so; nothing is changed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import NoReturn, get_args

import click
from click.core import ParameterSource
from tqdm import tqdm

from embedstack.catalog.network import to_stderr
from embedstack.cli.dedupe_report import as_json, as_list, as_text, warnings
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.deduping.finding import Wish, find_duplicates
from embedstack.deduping.models import IMAGE_MODEL, Models
from embedstack.deduping.thing import How, Report
from embedstack.errors import BadRequest, ConfigError
from embedstack.search.keeping import USUAL, Rule

# texts of any length are read whole, so none is cut
SETTINGS = (*(name for name in MODEL if name != "truncate"), "max_image_mb", "max_image_pixels")

LIKENESS = {"threshold": "--threshold", "models": "--model", "chained": "--chained"}  # flags that say what is near


class Bars(AbstractContextManager["Bars"]):
    """How far it is, on stderr of a terminal; satisfies `deduping.finding.Watching`."""

    def __init__(self) -> None:
        self._reading = tqdm(unit=" read", disable=None, delay=1)
        self._comparing: tqdm[NoReturn] | None = None

    def read(self) -> None:
        """See `Watching`."""
        self._reading.update()

    def comparing(self, total: int) -> None:
        """See `Watching`."""
        self._reading.close()
        self._comparing = tqdm(total=total, unit=" compared", unit_scale=True, disable=None, delay=1)

    def compared(self, products: int) -> None:
        """See `Watching`."""
        if self._comparing is not None:
            self._comparing.update(products)

    def note(self, line: str) -> None:
        """See `Watching`."""
        to_stderr(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.close()
        if self._comparing is not None:
            self._comparing.close()


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--threshold", "-t", type=click.FloatRange(0, 1, min_open=True), default=0.9, show_default=True,
    help="the least cosine of two that are near; `embedstack eval threshold` finds yours",
)  # fmt: skip
@click.option(
    "--model", "-m", "models", multiple=True,
    help="catalog name, Hugging Face id or folder; may be repeated, for texts and for pictures [default: the first of "
    f"EMBEDSTACK_MODELS, and {IMAGE_MODEL}]",
)  # fmt: skip
@click.option(
    "--keep", "rules", multiple=True, type=click.Choice(get_args(Rule)),
    help=f"which one of a group; may be repeated, the next one decides where one cannot [then: {', '.join(USUAL)}]",
)  # fmt: skip
@click.option("--exact", is_flag=True, help="only what is equal is a duplicate: no model is opened")
@click.option("--chained", is_flag=True, help="keep one of each group, also of those that are near only through others")
@click.option("--lines", is_flag=True, help="each line of a .txt is an item, in place of the file")
@click.option("--text-field", default="text", show_default=True, help="where the text is, in rows and payloads")
@click.option("--vector", default="", help="which vectors of a collection, where it has several kinds")
@click.option("--json", "is_json", is_flag=True, help="one object, for machines")
@click.option("--list", "is_list", is_flag=True, help="nothing but the names of the duplicates, a line each")
@click.option("-0", "--null", "is_null", is_flag=True, help="with --list: NUL behind each name, as xargs -0 wants it")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="where to write; else to stdout")
@setting_flags(*SETTINGS)
def dedupe(
    sources: tuple[str, ...], threshold: float, models: tuple[str, ...], rules: tuple[Rule, ...], exact: bool,
    chained: bool, lines: bool, text_field: str, vector: str, is_json: bool, is_list: bool, is_null: bool,
    out: Path | None, **flags: object,
) -> None:  # fmt: skip
    """Find what is in SOURCEs more than once, or nearly so. Nothing is changed: what is deleted is your choice.

    \b
    embedstack dedupe ./photos                                pictures are compared with pictures
    embedstack dedupe ./docs --threshold 0.95 --keep newest   texts with texts, of any length
    embedstack dedupe faq.csv --text-field question           each row of .csv and .jsonl, with --lines of .txt
    embedstack dedupe ./vectors                               the vectors of a job, of .parquet or of .jsonl
    embedstack dedupe ./database#docs                         those of a collection: DATABASE#COLLECTION
    embedstack dedupe ./photos --exact                        the same bytes or text alone: no model is opened
    embedstack dedupe ./photos --list -0 | xargs -0 rm --     deletes them

    What cannot be read is named on stderr, and is no duplicate of anything but of a file with the same bytes.
    """
    how_to_write = _writing(is_json=is_json, is_list=is_list, is_null=is_null)
    _check_place(out)
    if exact:
        _refuse_likeness()
    settings = settings_from(flags)
    how = How(
        text_field=text_field, is_by_line=lines, vector=vector, api_key=settings.qdrant_api_key,
        max_image_bytes=settings.max_image_mb * 2**20, max_image_pixels=settings.max_image_pixels,
    )  # fmt: skip
    wish = Wish(threshold=threshold, rules=rules, is_chained=chained, is_exact=exact, how=how)
    with Models(models, settings, to_stderr) as opened, Bars() as bars:
        report = find_duplicates(sources, wish, opened.of, bars)
        unused = opened.unused()
    for name in unused:
        to_stderr(f"model {name!r} was named for nothing: there was nothing for it to read")
    for line in warnings(report):
        to_stderr(line)
    _write(how_to_write(report), out)


def _writing(*, is_json: bool, is_list: bool, is_null: bool) -> Callable[[Report], bytes]:
    if is_json and is_list:
        raise BadRequest("--json and --list exclude each other; give one of them")
    if is_null and not is_list:
        raise BadRequest("-0 says what stands behind the names of --list; add --list, or leave it out")
    if is_list:
        return lambda report: as_list(report, is_null=is_null)
    return as_json if is_json else lambda report: as_text(report).encode()


def _refuse_likeness() -> None:
    """A flag that changes nothing would be taken for one that did."""
    context = click.get_current_context()
    given = [name for name in LIKENESS if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise BadRequest(
            f"--exact compares nothing but what is equal, so {LIKENESS[given[0]]} would change nothing; leave it out"
        )


def _check_place(out: Path | None) -> None:
    """Told before the work."""
    if out is not None and not out.resolve().parent.is_dir():
        raise ConfigError(f"{str(out)!r} cannot be written: there is no folder {str(out.parent)!r}; make it first")


def _write(data: bytes, out: Path | None) -> None:
    """A file appears under its name only when all of it is written."""
    if out is None:
        click.echo(data, nl=False)
        return
    partial = out.with_name(f"{out.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"{str(out)!r} cannot be written: {error.strerror or error}; choose another place") from error
