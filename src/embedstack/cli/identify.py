"""`embedstack identify`: which model and which recipe made the vectors of a collection, a table or files."""

import sys

import click

from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.identify_report import as_json, as_text
from embedstack.errors import Mismatch, Unsupported
from embedstack.identifying.identify import ROWS, Identified, Wish
from embedstack.identifying.identify import identify as find_out
from embedstack.identifying.opening import Place
from embedstack.modelspec import Precision

SETTINGS = ("runtime", "device", "threads", "batch_tokens", "max_text_chars", "cache_dir", "offline", "hf_endpoint")
TIE, NONE = 10, 11  # exit codes


@click.command()
@click.argument("source")
@click.option("--collection", "-c", default="", metavar="NAME", help="of a database [default: what is behind the #]")
@click.option(
    "--vector", default="", metavar="NAME", help="the field, column or key of the vectors, if there are several"
)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    help="try this one, fetched if need be; may be repeated [default: all on this machine whose width fits]",
)
@click.option("--text-key", default="", metavar="KEY", help="of the text; of a nested one with dots [default: found]")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="TEXT",
    help="try this in front of texts, beside known ones; may be repeated",
)
@click.option(
    "--sample", "rows", type=click.IntRange(1, 1000), default=ROWS, show_default=True, help="rows to embed again"
)
@click.option(
    "--precision",
    "held",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="bfloat16",
    show_default=True,
    help="the coarsest that the vectors may have been computed in",
)
@click.option("--json", "is_json", is_flag=True, help="print JSON, for machines")
@setting_flags(*SETTINGS)
def identify(
    source: str, collection: str, vector: str, models: tuple[str, ...], text_key: str, prompts: tuple[str, ...],
    rows: int, held: Precision, is_json: bool, **flags: object,
) -> None:  # fmt: skip
    """Find out what made the vectors of SOURCE: which model, pooling, prompt, cut and normalisation.

    \b
    embedstack identify './database#docs'                     a collection: DATABASE#NAME
    embedstack identify http://localhost:6333 -c docs         the same; Qdrant's key is in QDRANT_API_KEY
    embedstack identify ./vectors                             a finished job, Parquet files, or .jsonl (.gz, .zst)
    embedstack identify rows.jsonl --model intfloat/e5-small-v2 --model ./mine

    Texts of some rows are embedded again, in every usual way and every known wrong one, and compared with the vectors.

    Exit codes: 0 one recipe made them, 10 several give the same vectors here, 11 none of those tried did, 3 they are
    a mix, or not what they are signed as, 2 nothing can be compared.
    """
    settings = settings_from(flags)
    if settings.runtime == "reference":
        raise Unsupported("runtime 'reference' gives no states of tokens, by which poolings are compared; leave it out")
    place = Place(named=source, collection=collection, vector=vector, api_key=settings.qdrant_api_key)
    wish = Wish(models=models, rows=rows, text_key=text_key, prompts=prompts, held=held)
    found = find_out(place, wish, settings, to_stderr)
    click.echo(as_json(found) if is_json else as_text(found))
    sys.exit(_exit_code(found))


def _exit_code(found: Identified) -> int:
    if found.signed.state == "contradicts" or found.finding.verdict == "mixed":
        return Mismatch.exit_code
    match found.finding.verdict:
        case "named":
            return 0
        case "tie":
            return TIE
        case _:
            return NONE
