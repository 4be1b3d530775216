"""`embedstack models export`: a model becomes an ONNX file that other programs can run."""

import json
from pathlib import Path

import click

from embedstack.api import locate
from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.models.weights import open_weights
from embedstack.runtimes import open_runtime

SETTINGS = ("cache_dir", "offline", "hf_endpoint")


@click.command()
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="use operators of the ONNX standard alone, for what is not ONNX Runtime")
@click.option("--force", is_flag=True, help="replace a file that is there")
@click.option("--json", "is_json", is_flag=True, help="print JSON, for machines")
@setting_flags(*SETTINGS)
def export(name: str, out: Path, plain: bool, force: bool, is_json: bool, **flags: object) -> None:
    """Write a model to the ONNX file OUT, with its identity in the file's metadata.

    \b
    embedstack models export all-MiniLM-L6-v2 minilm.onnx
    embedstack models export bge-m3 bge-m3.onnx --plain
    embedstack models prove bge-m3 --file bge-m3.onnx

    It takes input_ids and attention_mask (and token_type_ids, if the model reads them), padded on either side.
    """
    open_runtime("onnx")  # says what to install
    from embedstack.runtimes.export import export as write
    from embedstack.runtimes.export import read_identity, require_place

    require_place(out, force=force)
    settings = settings_from(flags)
    located = locate(name, settings)
    to_stderr(f"writing {located.spec.name} to {out}")
    files = write(located.spec, open_weights(located.folder), out, plain=plain, force=force)
    sizes = {str(path): path.stat().st_size for path in files}
    if is_json:
        click.echo(json.dumps({"files": sizes, "plain": plain, "identity": read_identity(out)}, indent=2))
    else:
        click.echo(out)
    for path, size_bytes in sizes.items():
        to_stderr(f"wrote {path}: {size_bytes / 1e6:.1f} MB")
    to_stderr(f"space {located.spec.space}; put the model's prompts in front of texts as its card says")
