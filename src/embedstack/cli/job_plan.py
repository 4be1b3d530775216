"""`embedstack job plan`: what is read, how it is cut, whose vectors are made; written once, before any work."""

import asyncio
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import msgspec

from embedstack.chunks.chunk import Chunking, Strategy
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.job_flags import (
    CHILD_TOKENS,
    JOB_MODEL,
    OVERLAP,
    TOKENS,
    chunking_of,
    endpoints_of,
    model_from_everywhere,
    placed,
    size,
    storage_of,
)
from embedstack.cli.job_look import ESTIMATE, json_option, print_json
from embedstack.cli.via import via_option
from embedstack.documents.document import Form, Reading
from embedstack.errors import BadRequest
from embedstack.jobs.plan import Compression, Plan, Wish
from embedstack.settings import Settings
from embedstack.storage.opening import open_storage

if TYPE_CHECKING:
    from embedstack.client.plan import Plan as Endpoints
    from embedstack.documents.source import Source
    from embedstack.jobs.estimated import Estimate
    from embedstack.jobs.opened import Opened
    from embedstack.storage.storage import Storage

USUAL = Wish(inputs=(), model="")
SHOWN = 5  # endings of files that are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What shall be planned, and how it is said.

    Args:
        cut: what was said of chunks; how many tokens they may have depends on the model.
    """

    wish: Wish
    cut: "Cut"
    out: str
    settings: Settings
    endpoints: "Endpoints | None"
    is_estimated: bool
    price: float | None
    for_bytes: int | None
    is_single: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was said of chunks."""

    strategy: Strategy
    tokens: int | None
    overlap: int | None
    parent_tokens: int
    skip_index: bool
    is_late: bool  # each passage is read once

    def for_model(self, most: int) -> Chunking:
        """With what is usual where nothing was said; `most`: tokens that the model takes."""
        overlap = 0 if self.is_late and self.overlap is None else self.overlap
        return chunking_of(
            self.strategy, self.tokens, overlap, self.parent_tokens, skip_index=self.skip_index, most=most
        )


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", "-o", "out", required=True, help="the job's place: an empty folder, s3://... or gs://...")
@click.option("--model", "-m", help="catalog name, Hugging Face id or folder [default: the first of EMBEDSTACK_MODELS]")
@click.option("--role", default="document", show_default=True, help="which of the model's prompts goes in front")
@click.option("--dim", type=int, help="a shorter width, for models trained for it (Matryoshka)")
@click.option("--sparse", is_flag=True, help="lexical weights too, of models that have them")
@click.option("--late-chunking", is_flag=True, help="each chunk is read with all of its document around it")
@click.option("--form", type=click.Choice(get_args(Form)), help="of all files; default: by the ending of each")
@click.option("--text-field", default="text", show_default=True, help="column of the text, in rows")
@click.option(
    "--id-field",
    default="",
    help="column of the id, taken as it is, in rows [default: FILE#doc_id=... or FILE#id=..., else FILE#ROW]",
)
@click.option(
    "--chunker",
    type=click.Choice(get_args(Strategy)),
    default="semantic",
    show_default=True,
    help="where texts are cut, see docs/batch.md",
)
@click.option(
    "--chunk-tokens",
    type=click.IntRange(min=1),
    help=f"most of one chunk [default: {TOKENS}, for parent {CHILD_TOKENS}; or what the model takes]",
)
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    help=f"tokens that neighbours share, with --chunker window and parent [default: {OVERLAP}]",
)
@click.option(
    "--parent-tokens",
    type=click.IntRange(min=1),
    default=USUAL.chunking.parent_tokens,
    show_default=True,
    help="of what chunks lie in, with --chunker parent",
)
@click.option("--skip-index", is_flag=True, help="leave out pages that are lists of links")
@click.option(
    "--max-document-mb",
    type=click.IntRange(min=1),
    default=USUAL.reading.max_document_bytes >> 20,
    show_default=True,
    help="a larger document is a dead letter, and never in memory",
)
@click.option("--float16", is_flag=True, help="store vectors in half the bytes")
@click.option("--no-text", is_flag=True, help="leave the texts of chunks out of the table")
@click.option("--compression", type=click.Choice(get_args(Compression)), default=USUAL.compression, show_default=True)
@click.option(
    "--shard-docs",
    type=click.IntRange(min=1),
    default=USUAL.shard_docs,
    show_default=True,
    help="documents that are done, stored and committed together",
)
@click.option(
    "--checkpoint-docs",
    type=click.IntRange(min=1),
    default=USUAL.checkpoint_docs,
    show_default=True,
    help="by --shard-docs, how many shards have their records folded into one file",
)
@click.option("--since", default="", metavar="OUT", help="a job that lends vectors of unchanged chunks")
@click.option("--estimate", "is_estimated", is_flag=True, help="encode a sample: tokens, hours, bytes, each as a range")
@click.option("--price", type=click.FloatRange(min=0), metavar="DOLLARS", help="of this machine per hour: dollars, too")
@click.option(
    "--for-bytes", callback=size, metavar="SIZE", help="estimate for so much input of this kind, such as 200GB"
)
@click.option("--single-writer", is_flag=True, help="for stores that cannot create once: one process at a time")
@json_option
@via_option
@setting_flags(*JOB_MODEL)
def plan(
    inputs: tuple[str, ...], out: str, model: str | None, role: str, dim: int | None, sparse: bool,
    late_chunking: bool, form: Form | None, text_field: str, id_field: str, chunker: Strategy,
    chunk_tokens: int | None, overlap: int | None, parent_tokens: int, skip_index: bool, max_document_mb: int,
    float16: bool, no_text: bool, compression: Compression, shard_docs: int, checkpoint_docs: int, since: str,
    is_estimated: bool, price: float | None, for_bytes: int | None, single_writer: bool, is_json: bool,
    via: str | None, **flags: object,
) -> None:  # fmt: skip
    """Plan a job over INPUTs: folders, files, s3://... or gs://... of Markdown, text, HTML, JSON lines, CSV, Parquet.

    \b
    embedstack job plan ./docs --output ./vectors
    embedstack job plan s3://bucket/docs -o s3://bucket/vectors --model bge-m3 --chunker window
    embedstack job plan rows.jsonl --text-field body --id-field url -o ./vectors
    embedstack job plan ./docs -o ./vectors --estimate --price 0.40 --for-bytes 200GB
    embedstack job plan ./docs -o ./vectors-2 --since ./vectors         only what changed is encoded

    Files end in .md .txt .html .jsonl .csv .tsv .parquet, each also with .gz or .zst. Planning again changes nothing.
    """
    if (price is not None or for_bytes is not None) and not is_estimated:
        raise BadRequest("--price and --for-bytes are for --estimate; add it, or leave them out")
    settings = settings_from(flags)
    endpoints = endpoints_of(via, model, flags)
    wish = Wish(
        inputs=tuple(placed(one) for one in inputs),
        model=model_from_everywhere(wished_model(model, settings, endpoints)),
        role=role,
        dim=dim,
        sparse=sparse,
        late_chunking=late_chunking,
        reading=Reading(form=form, text_field=text_field, id_field=id_field, max_document_bytes=max_document_mb << 20),
        storing="float16" if float16 else "float32",
        with_text=not no_text,
        compression=compression,
        shard_docs=shard_docs,
        checkpoint_docs=checkpoint_docs,
        since=placed(since) if since else "",
    )
    cut = Cut(
        strategy=chunker,
        tokens=chunk_tokens,
        overlap=overlap,
        parent_tokens=parent_tokens,
        skip_index=skip_index,
        is_late=late_chunking,
    )
    planning = Planning(
        wish=wish,
        cut=cut,
        out=placed(out),
        settings=settings,
        endpoints=endpoints,
        is_estimated=is_estimated,
        price=price,
        for_bytes=for_bytes,
        is_single=single_writer,
    )
    made, estimate, skipped = asyncio.run(planned(planning))
    if is_json:
        print_json(_as_json(made, estimate, skipped))
    else:
        way = [*(["--via", without_password(via)] if via else []), *(["--single-writer"] if single_writer else [])]
        click.echo("\n".join(_told(made, estimate, skipped, ["embedstack", "job", "run", out, *way])))


def wished_model(model: str | None, settings: Settings, endpoints: "Endpoints | None") -> str:
    """The model's name: as it was given, else as the endpoints or the settings have it.

    Raises:
        BadRequest: endpoints, and nobody says what their model is.
    """
    from embedstack.api import model_names

    if model:
        return model
    if endpoints is None:
        return model_names(settings)[0]
    if found := endpoints.embed.model or endpoints.embed.targets[0].model:
        return found
    raise BadRequest("chunks are measured with the model's own tokenizer, and nothing names the model; add --model")


async def planned(planning: Planning) -> "tuple[Plan, Estimate | None, Mapping[str, int]]":
    """The plan as it stands in its place now, the estimate if one was asked for, and what was left out, by ending."""
    from embedstack.documents.source import open_source
    from embedstack.jobs.planning import plan as plan_job

    storage = storage_of(planning.out, is_single=planning.is_single)
    source = open_source(planning.wish.inputs, planning.wish.reading)
    await asyncio.to_thread(check_ends, source, storage)
    if planning.is_estimated:
        return *(await _estimated(planning, source, storage)), source.skipped
    async with _opened(planning) as opened:
        made = await asyncio.to_thread(plan_job, _wish_for(planning, opened), source, opened, storage)
    return made, None, source.skipped


def _wish_for(planning: Planning, opened: "Opened") -> Wish:
    return msgspec.structs.replace(planning.wish, chunking=planning.cut.for_model(opened.ruler.max_tokens))


def check_ends(source: "Source", storage: "Storage") -> None:
    """What needs no model, before one is loaded.

    Raises:
        ConfigError: there is nothing to read in an input, or nothing can be written to the output.
    """
    from embedstack.jobs.planning import check_output

    next(iter(source.entries()), None)
    check_output(source, storage)


def _opened(planning: Planning) -> "AbstractAsyncContextManager[Opened]":
    from embedstack.jobs.opening import open_elsewhere, open_here

    if planning.endpoints is not None:
        return open_elsewhere(planning.wish, planning.endpoints, planning.settings, cut=planning.cut.for_model)
    return open_here(planning.wish, planning.settings, cut=planning.cut.for_model)


async def _estimated(planning: Planning, source: "Source", storage: "Storage") -> "tuple[Plan, Estimate]":
    """A run opens the model and lists the input, too. It does not fetch the model or measure its lanes, which a first
    use does: so the second opening is timed."""
    if planning.endpoints is None:
        async with _opened(planning):
            pass
    began = time.monotonic()
    async with _opened(planning) as opened:
        await asyncio.to_thread(lambda: sum(1 for _ in source.entries()))
        return await _estimated_with(opened, planning, source, storage, time.monotonic() - began)


async def _estimated_with(
    opened: "Opened", planning: Planning, source: "Source", storage: "Storage", open_s: float
) -> "tuple[Plan, Estimate]":
    """Planned beside first: what the sample says of its tokens stands in the plan."""
    from embedstack.cli.job_work import REQUEST_ITEMS
    from embedstack.documents.reading import Reader
    from embedstack.jobs.calibrating import How
    from embedstack.jobs.estimating import estimate as estimate_job
    from embedstack.jobs.planning import check_place, write_plan
    from embedstack.jobs.planning import plan as plan_job
    from embedstack.jobs.shards import shards_of
    from embedstack.storage.local import LocalStorage

    wish = _wish_for(planning, opened)
    await asyncio.to_thread(check_place, wish, source, opened, storage)
    with tempfile.TemporaryDirectory(prefix="embedstack-estimate-") as folder:
        beside = LocalStorage(Path(folder, "plan"))
        draft = await asyncio.to_thread(plan_job, wish, source, opened, beside)
        shards = await asyncio.to_thread(shards_of, beside, draft)
        made = await estimate_job(
            draft,
            shards,
            Reader(source, wish.reading),
            opened,
            storage,
            Path(folder),
            price_per_hour=planning.price,
            for_bytes=planning.for_bytes,
            how=How(items_per_request=REQUEST_ITEMS) if planning.endpoints else How(),
            open_s=open_s,
        )
        share = draft.bytes / made.bytes if made.bytes else 1.0
        full = msgspec.structs.replace(draft, tokens=round(made.tokens.likely * share))
        stored = await asyncio.to_thread(write_plan, storage, full, shards)
    await asyncio.to_thread(storage.put, ESTIMATE, msgspec.json.encode(made))
    return stored, made


# ------------------------------------------------------------------------------------------------ what is said


def _as_json(made: Plan, estimate: "Estimate | None", skipped: Mapping[str, int]) -> dict[str, object]:
    rest = msgspec.to_builtins(msgspec.structs.replace(made, probes=()))
    said = {"estimate": msgspec.to_builtins(estimate)} if estimate else {}
    return {"digest": made.digest, "plan": rest, "skipped": dict(skipped), **said}


def _told(made: Plan, estimate: "Estimate | None", skipped: Mapping[str, int], next_words: Sequence[str]) -> list[str]:
    from embedstack.jobs.estimated import lines

    wish, identity = made.wish, made.identity
    told = [
        f"{made.docs:,} documents in {made.files:,} files, {made.bytes / 1e6:,.1f} MB, in {made.shards:,} shards",
        f"{identity.model}, {identity.dim} numbers as {wish.storing}, fingerprint {identity.fingerprint or 'unknown'}",
        f"chunks: {wish.chunking.strategy}, at most {wish.chunking.tokens} tokens",
    ]
    if skipped:
        most = sorted(skipped.items(), key=lambda one: -one[1])[:SHOWN]
        told.append(f"left out: {', '.join(f'{count:,} {ending}' for ending, count in most)}")
    if estimate is not None:
        told += lines(estimate)
    if made.lends_part:
        told += _lent(made)
    return [*told, f"plan {made.digest[:12]}; do it with: {shlex.join(next_words)}"]


def _lent(made: Plan) -> Iterator[str]:
    """What a job that is not finished does for this one, and what it cannot do."""
    from embedstack.jobs.since import lenders

    for one in lenders(open_storage(made.wish.since)):
        state = "finished" if one.is_finished else "not finished"
        yield f"{one.shards:,} of {one.plan.shards:,} shards of {one.storage.url} ({state}) lend their vectors"
    yield (
        "chunks that are gone will not be listed, since the job before is not finished: where an older table is in a "
        "collection, load this one with --prune, or into an empty one"
    )


def without_password(via: str) -> str:
    """Where `--via` points, as far as it may be shown."""
    return "WHERE" if "@" in via else via
