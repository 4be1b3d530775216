"""`embedstack eval run` and `compare`: labelled questions and systems become figures, and who is better."""

from pathlib import Path

import click

from embedstack.api import model_names
from embedstack.cli.eval_flags import EVAL_MODEL, PATH, Wish, evaluation_options
from embedstack.cli.eval_work import evaluated
from embedstack.cli.flags import setting_flags, settings_from


@click.command()
@click.argument("data", type=PATH)
@click.argument("system", nargs=-1)
@evaluation_options
@setting_flags(*EVAL_MODEL)
def run(data: Path, system: tuple[str, ...], wish: Wish, **flags: object) -> None:
    """Judge each SYSTEM by DATA; without one, the first model of the settings.

    \b
    embedstack eval run questions.csv                             the default model
    embedstack eval run ./scifact bm25 bge-m3 bm25+bge-m3         a BEIR folder; lexical, dense, both fused
    embedstack eval run xquad.ru.json bm25:ru+bge-m3~bge-reranker-v2-m3
    embedstack eval run questions.csv './.embedstack#documents/*' --out report      as `embedstack search` asks it
    embedstack eval run qrels.txt theirs.run                      rankings that somebody else made

    DATA: a CSV with the columns query and text, a BEIR folder, a SQuAD JSON, or judgements (qrels).
    SYSTEM: bm25[:ru]; MODEL, MODEL:sparse, MODEL:multi, each also @URL; DATABASE#COLLECTION[/VECTOR], one vector of it;
    DATABASE#COLLECTION/*, all that search asks, fused as it fuses; FILE.run; A+B; A~RERANKER.
    Exit codes: 0 done, 2 bad input, 3 another space, 5 an endpoint or a database is away, 130 Ctrl-C.
    """
    evaluated(data, system or model_names(settings_from(flags))[:1], wish, flags)


@click.command()
@click.argument("data", type=PATH)
@click.argument("baseline")
@click.argument("candidate", nargs=-1, required=True)
@evaluation_options
@setting_flags(*EVAL_MODEL)
def compare(data: Path, baseline: str, candidate: tuple[str, ...], wish: Wish, **flags: object) -> None:
    """Hold each CANDIDATE against BASELINE, query by query: by how much it is better, and whether by chance.

    \b
    embedstack eval compare questions.csv all-MiniLM-L6-v2 bge-m3
    embedstack eval compare questions.csv bge-m3 bge-m3@onnx:int8             the same model in int8
    embedstack eval compare questions.csv bge-m3 bge-m3@runpod                here, and at RunPod
    embedstack eval compare ./scifact bge-m3 bm25+bge-m3 --fusion dbsf --measure ndcg@10

    Single queries go to all systems in turn, so a noisy moment hits all. DATA and systems: see `embedstack eval run`.
    Exit codes: 0 done, 2 bad input, 3 another space, 5 an endpoint or a database is away, 130 Ctrl-C.
    """
    evaluated(data, (baseline, *candidate), wish, flags)
