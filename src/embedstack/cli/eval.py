"""`embedstack eval`: how well models and databases find what people say belongs together."""

import click

from embedstack.cli.lazy import LazyGroup

LATER = {
    "run": "embedstack.cli.eval_run:run",
    "compare": "embedstack.cli.eval_run:compare",
    "gate": "embedstack.cli.eval_gate:gate",
    "threshold": "embedstack.cli.eval_threshold:threshold",
}


@click.group(name="eval", cls=LazyGroup, later=LATER)
def evaluation() -> None:
    """Judge models, rerankers, hybrids and databases by questions whose answers are known.

    \b
    embedstack eval run questions.csv                                     the default model: nDCG, MRR, recall, latency
    embedstack eval compare questions.csv all-MiniLM-L6-v2 bge-m3         which one is better, and is that chance?
    embedstack eval gate questions.csv all-MiniLM-L6-v2 bge-m3 --preset d15        for CI: an exit code says it
    embedstack eval threshold pairs.csv all-MiniLM-L6-v2                  from which cosine on two texts mean the same

    Exit codes: 0 done, or the gate PASSes; 10 it FAILs; 11 it is INCONCLUSIVE: too few questions to say; 2 bad input,
    3 another space, 5 an endpoint or a database is away, 130 Ctrl-C.
    """
