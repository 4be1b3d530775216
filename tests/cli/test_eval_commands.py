"""`embedstack eval run` and `compare`: what they say, what they write, and what they refuse."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import ir_measures
import pytest

from embedstack import load
from embedstack.api import open_engine
from embedstack.databases.bound import Bound, origin_of
from embedstack.databases.database import Collection, Field, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.engine.engine import Engine
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, NoEndpoint, Upstream
from embedstack.evals.outcome import Report
from embedstack.evals.reports.reporting import from_json
from embedstack.evals.sets.digests import text_id
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from support.commands import COMMAND, PATIENCE_S, good, process, run, settings_only
from support.serving import serving
from support.shown import resolve

FACTS = {
    "how do pandas sleep?": "Pandas sleep on the ground, mostly between two meals.",
    "what do bees follow?": "Bees find their way by the sun.",
    "why do kettles shine?": "Kettles were made of copper, which conducts heat well.",
    "when is bread baked?": "Bread is baked at night and sold before the buses run.",
    "where do ferries wait?": "Ferries wait behind the breakwater until the ice is thin.",
    "who tuned the cello?": "She tuned the cello and played the slow movement first.",
}
WORDS = [f"word{number}" for number in range(60)]
JUDGED = {"ndcg@10": "nDCG@10", "mrr@10": "RR@10", "recall@100": "R@100", "map": "AP", "judged@10": "Judged@10"}
FAST = ("--samples", "3", "--resamples", "400", "-q")


@pytest.fixture
def data(machine: Path) -> str:
    path = machine / "questions.csv"
    path.write_text("query,text\n" + "".join(f'"{query}","{text}"\n' for query, text in FACTS.items()))
    return str(path)


@pytest.fixture
def qrels(machine: Path) -> str:
    path = machine / "qrels.txt"
    path.write_text("q1 0 d1 1\nq2 0 d2 1\n")
    return str(path)


def beir(folder: Path) -> Path:
    """Documents and queries of drawn words, and judgements with grades, also as TREC has them."""
    draw = Random(5)
    texts = {f"d{number}": " ".join(draw.choices(WORDS, k=12)) for number in range(150)}
    asked = {f"q{number}": " ".join(draw.choices(WORDS, k=3)) for number in range(12)}
    rows = [(query, document, draw.randint(0, 2)) for query in asked for document in draw.sample(sorted(texts), 40)]
    (folder / "qrels").mkdir(parents=True)
    for name, held in (("corpus", texts), ("queries", asked)):
        lines = [json.dumps({"_id": one, "text": text}) for one, text in held.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "qrels/test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in rows)
    )
    (folder / "qrels.txt").write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in rows))
    return folder


def run_file(folder: Path, name: str, rankings: Mapping[str, str]) -> str:
    """Query -> its documents in one word, such as "d1 d2"."""
    path = folder / f"{name}.run"
    lines = [
        f"{query} Q0 {document} {rank} {1 / rank} {name}\n"
        for query, documents in rankings.items()
        for rank, document in enumerate(documents.split(), 1)
    ]
    path.write_text("".join(lines))
    return path.name


def said(*arguments: str) -> Report:
    return from_json(good(*arguments, "--json").stdout.encode())


# ------------------------------------------------------------------------------------------------ what they say


@pytest.mark.parametrize("command", ["run", "compare", "gate", "threshold"])
def test_help_has_four_examples_that_there_are_and_all_exit_codes(command: str) -> None:
    shown = good("eval", command, "--help").stdout
    examples = [
        line.split("  ")[0].split() for line in map(str.strip, shown.splitlines()) if line.startswith("embedstack ")
    ]

    for words in examples:
        resolve(words[1:])
    assert len(examples) >= 4
    assert "Exit codes:" in shown


def test_systems_have_a_row_each_and_one_query_alone_is_timed(data: str) -> None:
    lines = good("eval", "run", data, "bm25", "bm25:ru", *FAST).stdout.splitlines()

    assert lines[0] == "Evaluation of questions.csv"
    assert [line.split()[0] for line in lines[2:5]] == ["system", "bm25", "bm25:ru"]
    assert "Milliseconds of one query alone:" in lines


@pytest.mark.slow
def test_without_a_system_the_first_model_of_the_settings_is_judged(
    data: str, embedder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSTACK_MODELS", f"{embedder},no-such-model")

    (one,) = said("eval", "run", data, *FAST).outcomes

    assert one.system == embedder


def test_the_json_is_the_report_and_nothing_else_is_on_stdout(data: str) -> None:
    report = said("eval", "run", data, "bm25", *FAST)

    assert (report.judged, report.documents, report.depth, report.resamples) == (6, 6, 100, 400)
    assert list(report.outcomes[0].measures) == ["ndcg@10", "mrr@10", "recall@100", "map", "judged@10"]
    assert report.outcomes[0].latency is not None
    assert report.outcomes[0].latency.samples == 3


def test_compare_says_who_is_better_by_every_measure(data: str) -> None:
    report = said("eval", "compare", data, "bm25", "bm25:ru", "--measure", "ndcg@3", "--measure", "map", *FAST)

    assert [(one.measure, one.baseline, one.candidate) for one in report.comparisons] == [
        ("ndcg@3", "bm25", "bm25:ru"),
        ("map", "bm25", "bm25:ru"),
    ]


def test_what_is_fused_is_judged_with_each_leg(data: str, embedder: str) -> None:
    report = said("eval", "run", data, f"bm25+{embedder}", "--fusion", "weighted", "--weights", "2,1", *FAST)

    assert [one.part_of for one in report.outcomes] == ["", f"bm25+{embedder}", f"bm25+{embedder}"]
    assert "weighted and weights 2, 1" in report.outcomes[0].notes[0]


def test_a_reranker_scores_as_many_as_it_is_given(data: str, reranker: str) -> None:
    report = said("eval", "run", data, f"bm25~{reranker}", "--rerank-top", "2", *FAST)

    assert "the first 2 documents" in report.outcomes[0].notes[0]


def test_rankings_are_judged_without_texts_and_without_a_clock(qrels: str, machine: Path) -> None:
    better = run_file(machine, "better", {"q1": "d1 d2", "q2": "d2"})
    worse = run_file(machine, "worse", {"q1": "d2 d1", "q2": "d2"})

    report = said("eval", "compare", qrels, worse, better)

    assert [one.measures["mrr@10"].value for one in report.outcomes] == [0.75, 1.0]
    assert [one.latency for one in report.outcomes] == [None, None]


def test_each_half_of_the_queries_is_judged_alone(data: str) -> None:
    halves = [said("eval", "run", data, "bm25", "--half", half, *FAST) for half in ("tune", "judge")]

    whole = said("eval", "run", data, "bm25", *FAST)
    queries = [set(report.outcomes[0].queries["ndcg@10"]) for report in halves]
    assert queries[0] | queries[1] == set(whole.outcomes[0].queries["ndcg@10"])
    assert not queries[0] & queries[1]
    assert [report.documents for report in halves] == [6, 6]
    assert "the half 'tune' of the queries: " in halves[0].notes[-1 - sum("samples" in one for one in halves[0].notes)]


def test_judgements_are_completed_by_files_of_texts(qrels: str, machine: Path) -> None:
    Path("documents.tsv").write_text("d1\tPandas sleep.\nd2\tIt rains.\nd3\tBees fly.\n")
    Path("queries.tsv").write_text("q1\tpandas\nq2\tbees\n")

    report = said("eval", "run", qrels, "bm25", "--documents", "documents.tsv", "--queries", "queries.tsv", *FAST)

    assert report.documents == 3
    assert report.outcomes[0].measures["mrr@10"].value == 0.5


@pytest.mark.slow
def test_an_endpoint_is_judged_as_a_model_is(data: str) -> None:
    with serving(HashEncoder) as url:
        (one,) = said("eval", "run", data, f"hash@{url}", *FAST).outcomes

    assert one.identities[0].model == "hash"
    assert one.system == f"hash@{url}"


@pytest.mark.slow
def test_a_collection_is_judged_with_the_model_that_it_is_signed_by(data: str, embedder: str) -> None:
    texts = list(FACTS.values())
    with load(embedder) as model, closing(EmbeddedDatabase(Path("db"))) as database:
        made = model.encode(texts)
        assert made.dense is not None
        bound = Bound(database, "docs", {"": origin_of(made, "document")})
        bound.prepare(Collection(name="docs", fields={"": Field(dim=made.spec.dim)}))
        payloads = [{"doc_id": text_id(text)} for text in texts]
        bound.write(Points(ids=range(len(texts)), vectors={"": made.dense}, payloads=payloads))

    report = said("eval", "run", data, "db#docs", embedder, *FAST)

    measures = [one.measures["ndcg@10"].value for one in report.outcomes]
    assert [one.system for one in report.outcomes] == ["db#docs", embedder]
    assert measures == [measures[0]] * 2


@pytest.mark.slow
def test_the_same_command_gives_the_same_figures(data: str, embedder: str) -> None:
    first, second = (said("eval", "run", data, embedder, *FAST).outcomes[0] for _ in range(2))

    assert (first.measures, first.queries) == (second.measures, second.queries)


def test_no_vector_comes_from_a_cache(data: str, embedder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_VECTOR_CACHE_MB", "10")
    given = []

    def opening(settings: Settings, names: Sequence[str], say: Callable[[str], None]) -> Engine:
        given.append(settings.vector_cache_mb)
        return open_engine(settings, names, say)

    monkeypatch.setattr("embedstack.cli.eval_openers.open_engine", opening)
    good("eval", "run", data, embedder, *FAST)

    assert given == [0]


# ------------------------------------------------------------------------------------------------ what they write


def test_the_folder_has_the_report_in_three_forms_and_all_rankings(data: str, embedder: str) -> None:
    good("eval", "run", data, "bm25", f"bm25+{embedder}", "--out", "report", *FAST)

    names = {str(path.relative_to("report")) for path in Path("report").rglob("*") if path.is_file()}
    runs = {name for name in names if name.startswith("runs/")}
    assert names - runs == {"report.json", "report.md", "report.html"}
    assert len(runs) == 3
    assert from_json(Path("report/report.json").read_bytes()).data == "questions.csv"


def test_figures_are_those_of_ir_measures_on_the_files_that_are_written(machine: Path) -> None:
    folder = beir(machine / "set")
    good("eval", "run", str(folder), "bm25", "--out", "report", *FAST)

    judge = ir_measures.calc_aggregate(
        [ir_measures.parse_measure(name) for name in JUDGED.values()],
        ir_measures.read_trec_qrels(str(folder / "qrels.txt")),
        ir_measures.read_trec_run("report/runs/bm25.run"),
    )
    ours = from_json(Path("report/report.json").read_bytes()).outcomes[0].measures
    for name, theirs in JUDGED.items():
        assert ours[name].value == pytest.approx(judge[ir_measures.parse_measure(theirs)], abs=1e-9)
        assert 0.02 < ours[name].value < 0.98


def test_ids_that_no_file_of_rankings_holds_cost_only_these_files(machine: Path) -> None:
    Path("spaced.csv").write_text("query,text,document_id\npandas,Pandas sleep.,a file.txt\n")

    result = good("eval", "run", "spaced.csv", "bm25", "--out", "report", *FAST[:-1])

    assert "no rankings, as the id 'a file.txt' has white space" in result.stderr
    assert sorted(path.name for path in Path("report").iterdir()) == ["report.html", "report.json", "report.md"]


def test_who_wants_quiet_reads_nothing_on_stderr(data: str, embedder: str) -> None:
    assert good("eval", "run", data, embedder, "--out", "report", *FAST).stderr == ""


@pytest.mark.slow
def test_a_terminal_without_our_signs_gets_question_marks(data: str) -> None:
    done = process(
        "eval", "gate", data, "bm25", "bm25:ru", "--p50-ms", "60000", env=settings_only(PYTHONIOENCODING="ascii")
    )

    assert done.returncode == 0, done.stderr
    assert b"? PASS p50 at most 60000 ms" in done.stdout


# ------------------------------------------------------------------------------------------------ what they refuse


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (
            ("bm25", "--weights", "1,2"),
            BadRequest,
            "--weights would change nothing, as no system is fused (A+B, or DATABASE#",
        ),
        (("bm25", "--rerank-top", "9"), BadRequest, "--rerank-top would change nothing, as no system is reranked"),
        (("db#docs", "--language", "ru"), BadRequest, "--language would change nothing, as no system is bm25"),
        (("bm25", "--depth", "9"), BadRequest, "9 documents of each ranking are too few"),
        (("bm25", "--measure", "ndgc@10"), BadRequest, "the nearest is ndcg@10"),
        (("bm25", "bm25"), BadRequest, "'bm25' is named twice"),
        (("bm25", "--out", "questions.csv"), ConfigError, "is a file; name another one"),
        (("bm25", "--split", "dev"), ConfigError, "leave the split out"),
        (("bm25", "--confidence", "1"), BadRequest, "confidence=1.0"),
        (("bm25", "--seed", "-1"), BadRequest, "seed=-1"),
        (("db#docs",), BadRequest, "collection 'docs' is not there"),
    ],
)
def test_what_cannot_be_had_is_refused(
    data: str, arguments: tuple[str, ...], kind: type[EmbedstackError], says: str
) -> None:
    result = run("eval", "run", data, *arguments)

    assert isinstance(result.exception, kind), result.exception
    assert says in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize("system", ["bm25", "db#docs/*", "theirs.run+bm25", "theirs.run~hash"])
def test_who_reads_queries_is_refused_where_these_have_no_texts(qrels: str, machine: Path, system: str) -> None:
    result = run("eval", "run", qrels, system)

    assert isinstance(result.exception, BadRequest), result.exception
    assert "reads queries, and 'qrels.txt' has only their ids; give their texts with --queries" in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["hash@http://127.0.0.1:9", "http://127.0.0.1:9#docs"])
def test_what_is_away_has_exit_code_5(data: str, system: str) -> None:
    result = run("eval", "run", data, system)

    assert isinstance(result.exception, NoEndpoint | Upstream), result.exception
    assert result.exception.exit_code == 5


@pytest.mark.parametrize("arguments", ["--weights a", "--fusion sum", "--rerank-top 0", "--depth 0", "--samples -1"])
def test_flags_that_are_none_are_refused(data: str, arguments: str) -> None:
    assert run("eval", "run", data, "bm25+x", *arguments.split()).exit_code == 2


def test_data_that_are_none_are_refused_before_a_model_is_opened(machine: Path) -> None:
    result = run("eval", "run", "nowhere.csv", "no-such-model")

    assert isinstance(result.exception, ConfigError)
    assert "'nowhere.csv' cannot be read" in str(result.exception)


def test_compare_wants_two() -> None:
    assert run("eval", "compare", "questions.csv", "bm25").exit_code == 2


# ------------------------------------------------------------------------------------------------ signals


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_no_folder(data: str, embedder: str, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "eval", "run", data, embedder, "--samples", "100000000", "--out", "report"],
        env=settings_only(PYTHONPATH=os.pathsep.join(sys.path)), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    assert b"ready in" in process.stderr.readline()
    process.send_signal(number)
    shown, heard = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 128 + number
    assert heard.decode() == f"error: {number.name} came before the end\n"
    assert shown == b""
    assert not Path("report").exists()
