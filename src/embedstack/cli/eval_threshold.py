"""`embedstack eval threshold`: pairs that people graded, and models -> from which cosine on two texts mean the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from embedstack.api import model_names
from embedstack.cli.eval_board import EvalBoard
from embedstack.cli.eval_flags import EVAL_MODEL, PATH, Drawing, Said, drawing_options, said_options
from embedstack.cli.eval_folder import check_folder, file_names
from embedstack.cli.eval_openers import EvalOpeners
from embedstack.cli.eval_saving import save, show, write_text
from embedstack.cli.eval_work import stoppable
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.via import variables
from embedstack.errors import BadRequest
from embedstack.evals.calibrating import calibrate_model
from embedstack.evals.calibration import Calibration
from embedstack.evals.reports.reporting import calibration_html, calibration_markdown, calibration_text, to_json
from embedstack.evals.sets.labelled import Pairs
from embedstack.evals.sets.opening import open_pairs
from embedstack.evals.systems.naming import ModelName, parse_systems
from embedstack.evals.systems.readers import spec_of
from embedstack.evals.thresholds import FIXED, PRECISIONS, RESAMPLES


@click.command()
@click.argument("pairs", type=PATH)
@click.argument("model", nargs=-1)
@click.option(
    "--same-from", type=float, metavar="GRADE", help="the lowest of pairs that are the same [default: 1 of 0, 1]"
)
@click.option("--role", default="document", show_default=True, help="whose prompt stands in front; none: no prompt")
@click.option("--dim", type=int, help="a shorter width, for models trained for it (Matryoshka)")
@click.option(
    "--precise",
    multiple=True,
    type=float,
    default=PRECISIONS,
    show_default=True,
    metavar="SHARE",
    help="look for the threshold of which so many are right; may be repeated",
)
@click.option(
    "--at", multiple=True, type=float, default=FIXED, show_default=True, metavar="COSINE",
    help="say what this threshold does; may be repeated",
)  # fmt: skip
@drawing_options(RESAMPLES)
@said_options
@setting_flags(*EVAL_MODEL)
def threshold(
    pairs: Path, model: tuple[str, ...], same_from: float | None, role: str, dim: int | None,
    precise: tuple[float, ...], at: tuple[float, ...], drawing: Drawing, said: Said, **flags: object,
) -> None:  # fmt: skip
    """Find the cosine from which on two texts mean the same, for each MODEL.

    \b
    embedstack eval threshold pairs.csv                                       the default model; grades 0 and 1
    embedstack eval threshold stsb.csv all-MiniLM-L6-v2 bge-m3 --same-from 4  grades from 0 to 5
    embedstack eval threshold questions.csv bge-m3 --role query               for a cache of answers
    embedstack eval threshold pairs.csv bge-m3@http://localhost:8080 --precise 0.99 --at 0.85

    PAIRS: a CSV with the columns sentence1, sentence2 and score, or of rows text, text, number.
    A threshold is chosen on one half of the pairs and judged on the other. It is one model's, in one role: others have
    other cosines. Exit codes: 0 done, 2 bad input, 5 an endpoint is away, 130 Ctrl-C.
    """
    settings = replace(settings_from(flags), vector_cache_mb=0)
    names = models_of(model or model_names(settings)[:1])
    check_folder(said.out)
    with stoppable() as stop:
        with EvalBoard(is_quiet=said.is_quiet) as board:
            read = open_pairs(pairs)
            wanted = same_from if same_from is not None else usual_grade(read)
            found = {}
            with EvalOpeners(names, settings, variables(flags), board.say) as openers:
                for name in names:
                    encoder = openers.encoder(name, "embed")
                    found[name.name] = calibrate_model(
                        read, encoder, same_from=wanted, model=spec_of(encoder, "embed", name.place).name, role=role,
                        dim=dim, fixed=at, precisions=precise, confidence=drawing.confidence,
                        resamples=drawing.resamples, seed=drawing.seed, progress=board,
                    )  # fmt: skip
        if said.out is not None:
            with stop.busy():
                save(said.out, said, files_of(found))
    show(said, b"".join(map(to_json, found.values())), "\n".join(map(calibration_text, found.values())))


def models_of(given: Sequence[str]) -> list[ModelName]:
    """Models alone, for their dense vectors.

    Raises:
        BadRequest: another system is named.
    """
    models = []
    for name in parse_systems(list(given)):
        if not isinstance(name, ModelName) or name.kind != "dense":
            raise BadRequest(f"{name.name!r} has no cosines, as only the dense vectors of a model have; name a model")
        models.append(name)
    return models


def usual_grade(pairs: Pairs) -> float:
    """1, where grades are 0 and 1.

    Raises:
        BadRequest: they are others, of which nobody knows what they mean.
    """
    if not set(pairs.grades) <= {0.0, 1.0}:
        raise BadRequest(
            f"the grades of {pairs.name!r} are from {min(pairs.grades):g} to {max(pairs.grades):g}, and it is not said "
            "from which one on two texts are the same; say it: --same-from 4"
        )
    return 1.0


def files_of(found: Mapping[str, Calibration]) -> dict[str, Callable[[Path], object]]:
    """Three of each model."""
    made: dict[str, Callable[[Path], object]] = {}
    for model, file in file_names(found).items():
        calibration = found[model]
        made[f"{file}.html"] = partial(write_text, text=calibration_html(calibration))
        made[f"{file}.md"] = partial(write_text, text=calibration_markdown(calibration))
        made[f"{file}.json"] = partial(write_text, text=to_json(calibration).decode())
    return made
