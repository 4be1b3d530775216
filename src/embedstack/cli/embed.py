"""`embedstack embed`: texts become vectors in a file or on stdout."""

from pathlib import Path

import click
from tqdm import tqdm

from embedstack.api import Model, open_engine
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.cli.texts import in_chunks, read_texts
from embedstack.cli.vectors import FORMATS, open_writer
from embedstack.settings import DEFAULT_MODEL

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
@click.option("--field", default="text", show_default=True, help="the text's field in .jsonl")
@click.option(
    "--model", "-m", "models", default=DEFAULT_MODEL, show_default=True, help="catalog name, Hugging Face id or folder"
)
@click.option(
    "--role",
    default="document",
    show_default=True,
    help="query or document: which of the model's prompts goes in front",
)
@click.option("--dim", type=int, help="a shorter width, for models trained for it (Matryoshka)")
@click.option(
    "--truncate",
    type=click.Choice(["right", "left", "refuse"]),
    default="right",
    show_default=True,
    help="what happens to a text over the model's limit",
)
@click.option("--format", "kind", type=click.Choice(FORMATS), help="default: by the ending of --output, else jsonl")
@click.option("--json", "is_json", is_flag=True, help="the same as --format json: one object with identity and usage")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="where to write; stdout if left out")
@setting_flags(*MODEL)
def embed(
    text: tuple[str, ...], files: tuple[Path, ...], field: str, models: str, role: str, dim: int | None, truncate: str,
    kind: str | None, is_json: bool, output: Path | None, **flags: object,
) -> None:  # fmt: skip
    """Turn TEXTs, files or stdin into vectors.

    \b
    embedstack embed "a text" "another text"                    a JSON line for each
    embedstack embed --file texts.txt --output vectors.npy      a float32 matrix
    embedstack embed --file rows.jsonl --field body -o out.parquet
    cat texts.txt | embedstack embed --role query --json

    What was cut to fit the model is reported on stderr.
    """
    settings = settings_from({**flags, "models": models})
    writer = open_writer("json" if is_json else kind, output)  # a wrong name is told before the model loads
    texts = read_texts(text, files, field)
    truncated = dropped = 0
    with Model(open_engine(settings, say=_tell)) as model, writer, tqdm(unit=" texts", disable=None, delay=1) as bar:
        for chunk in in_chunks(texts, CHUNK):
            encoded = model.encode(chunk, role=role, dim=dim, truncate=truncate)  # type: ignore[arg-type]
            writer.write(chunk, encoded)
            truncated, dropped = truncated + encoded.usage.truncated, dropped + encoded.usage.dropped
            bar.update(len(chunk))
    if truncated:
        _tell(
            f"{truncated} texts were longer than the model's {model.spec.max_tokens} tokens; {dropped} tokens were cut"
        )


def _tell(line: str) -> None:
    click.echo(line, err=True)
