"""`embedstack embed`: texts become vectors in a file or on stdout."""

from collections.abc import Iterator
from pathlib import Path

import click
from tqdm import tqdm

from embedstack.api import model_names, open_engine
from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.cli.texts import FIELD, in_chunks, read_texts
from embedstack.cli.vectors import FORMATS, open_writer, usage
from embedstack.cli.via import limit_of, open_via, plan_for, via_option
from embedstack.errors import BadRequest, Mismatch
from embedstack.model import Model
from embedstack.modelspec import Truncate
from embedstack.settings import Settings
from embedstack.types import Encoded, Usage

CHUNK = 1024  # texts in hand: enough to group by length, little enough to hold


@click.command()
@click.argument("text", nargs=-1)
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="a file of texts, one a line, or .jsonl; may be repeated",
)
@click.option("--field", help=f"read JSON lines, also from stdin, with the text in this field [default: {FIELD}]")
@click.option("--model", "-m", help="catalog name, Hugging Face id or folder [default: the first of EMBEDSTACK_MODELS]")
@click.option(
    "--role",
    default="document",
    show_default=True,
    help="query or document: which of the model's prompts goes in front",
)
@click.option("--dim", type=int, help="a shorter width, for models trained for it (Matryoshka)")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="default: by the ending of --output, else jsonl")
@click.option("--json", "is_json", is_flag=True, help="the same as --format json: one object with identity and usage")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="where to write; stdout if left out")
@via_option
@setting_flags(*MODEL)
def embed(
    text: tuple[str, ...], files: tuple[Path, ...], field: str | None, model: str | None, role: str, dim: int | None,
    kind: str | None, is_json: bool, output: Path | None, via: str | None, **flags: object,
) -> None:  # fmt: skip
    """Turn TEXTs, files or stdin into vectors.

    \b
    embedstack embed "a text" "another text"                    a JSON line for each
    embedstack embed --file texts.txt --output vectors.npy      a float32 matrix
    embedstack embed --file rows.jsonl --field body -o out.parquet
    cat texts.txt | embedstack embed --role query --json
    embedstack embed --via runpod "a text"                      at an endpoint, see docs/router.md

    What was cut to fit the model is reported on stderr.
    """
    if is_json and kind not in (None, "json"):
        raise BadRequest(f"--json and --format {kind} exclude each other; give one of them")
    settings = settings_from(flags)
    # whatever is wrong with the output or the input is told before a model is fetched and loaded
    plan = plan_for(via, "embed", model, flags) if via else None
    writer = open_writer("json" if is_json else kind, output)
    texts = read_texts(text, files, field)
    costs: list[Usage] = []
    with writer, open_via(plan, "embed", settings) if plan else _here(settings, model) as opened:
        for chunk, encoded in _encoded(opened, texts, role, dim, settings.truncate):
            writer.write(chunk, encoded)
            costs.append(encoded.usage)
    cost = usage(*costs)
    if output:
        made_by = f"{encoded.spec.name}, fingerprint {encoded.fingerprint or 'unknown'}"
        to_stderr(f"{output}: {cost['items']} vectors; {made_by}")
    if cost["truncated"]:
        limit = limit_of(encoded.spec.max_tokens)
        to_stderr(f"{cost['truncated']} texts were longer than {limit}; {cost['dropped']} tokens were cut")


def _here(settings: Settings, model: str | None) -> Model:
    return Model(open_engine(settings, [model or model_names(settings)[0]]))


def _encoded(
    model: Model, texts: Iterator[str], role: str, dim: int | None, truncate: Truncate
) -> Iterator[tuple[list[str], Encoded]]:
    done = 0
    before: tuple[str, int] | None = None
    with tqdm(unit=" texts", disable=None, delay=1) as bar:
        for chunk in in_chunks(texts, CHUNK):
            try:
                encoded = model.encode(chunk, role=role, dim=dim, truncate=truncate)
            except BadRequest as error:  # its places count from the beginning of the chunk
                raise type(error)(f"after {done} texts: {error}" if done else str(error)) from error
            space = encoded.spec.space, encoded.dense.shape[1] if encoded.dense is not None else 0
            before = before or space
            if space != before:
                raise Mismatch(f"after {done} texts the vectors are of another space; what was written is of the first")
            yield chunk, encoded
            done += len(chunk)
            bar.update(len(chunk))
