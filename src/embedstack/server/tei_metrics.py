"""Series of ours -> those that dashboards for Text Embeddings Inference read (te_), as far as we count the same.

Source: https://github.com/huggingface/text-embeddings-inference at 0d124dc, core/src/infer.rs and queue.rs,
router/src/lib.rs and http/server.rs. What is missing is not counted here: whether a request held one input or several,
the length and the duration of each input. Bounds of histograms are ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

PREFIX = "/tei"  # routes stand at the root, too
EMBEDS = ("/embed", "/embed_all", "/embed_sparse", "/similarity", "/v1/embeddings", "/embeddings")
PREDICTS = ("/predict", "/rerank")
COUNTED = (*EMBEDS, *PREDICTS, "/", "/invocations")  # the last two are either, by the model; /tokenize is nothing there
OK = "200"
FAILURES: Mapping[str, str] = {"429": "overloaded", "499": "dropped", "503": "unhealthy", "424": "backend"}
"""By status. `unhealthy` and `backend` are the error types of the bodies, where the original tells causes apart."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A histogram of theirs: ours by name, of one stage where it has several."""

    name: str
    ours: str
    text: str
    stage: str = ""


HISTOGRAMS = (
    Alias("te_request_duration", "embedstack_request_seconds", "Seconds of a request"),
    Alias("te_request_tokenization_duration", "embedstack_stage_seconds", "Of these, tokenizing", "tokenize"),
    Alias("te_request_queue_duration", "embedstack_stage_seconds", "Of these, waiting for the device", "queue"),
    Alias("te_request_inference_duration", "embedstack_stage_seconds", "Of these, on the device", "inference"),
    Alias("te_batch_next_size", "embedstack_batch_items", "Inputs of a batch, of all models and dialects"),
    Alias("te_batch_next_tokens", "embedstack_batch_tokens", "Tokens of a batch, of all models and dialects"),
)
Row = tuple[str, Mapping[str, str], float]  # what follows the name, labels, and the number


def page(families: Iterable[Metric]) -> bytes:
    """What follows our own series on the page.

    Args:
        families: all that `/metrics` shows.
    """
    samples: dict[str, list[Sample]] = defaultdict(list)
    for family in families:
        for sample in family.samples:
            if _is_theirs(sample.labels):
                samples[sample.name].append(sample)
    lines = [*_requests(samples["embedstack_requests_total"]), *_inputs(samples["embedstack_items_total"])]
    lines += _written("te_queue_size", "gauge", "Inputs that wait, of all dialects", [
        ("", {}, _sum(samples["embedstack_queue_items"])),
    ])  # fmt: skip
    for alias in HISTOGRAMS:
        lines += _histogram(alias, samples)
    return "".join(f"{line}\n" for line in lines).encode()


def _is_theirs(labels: Mapping[str, str]) -> bool:
    """Whether a sample is of a request that the original would count, or of no dialect at all."""
    return "dialect" not in labels or (labels["dialect"] == "tei" and _path(labels) in COUNTED)


def _path(labels: Mapping[str, str]) -> str:
    return labels["route"].removeprefix(PREFIX) or "/"


def _requests(replies: Sequence[Sample]) -> Iterator[str]:
    failures: dict[str, float] = defaultdict(float)
    for sample in replies:
        if sample.labels["status"] != OK:
            failures[_cause(sample.labels["status"])] += sample.value
    done = [sample for sample in replies if sample.labels["status"] == OK]
    yield from _written("te_request_count", "counter", "Requests, good or bad", [("", {}, _sum(replies))])
    yield from _written("te_request_success", "counter", "Requests that were answered", [("", {}, _sum(done))])
    causes = [("", {"err": cause}, count) for cause, count in sorted(failures.items())]
    yield from _written("te_request_failure", "counter", "Requests that were not, by cause", causes)


def _cause(status: str) -> str:
    return FAILURES.get(status, "validation" if status.startswith("4") else "backend")


def _inputs(items: Sequence[Sample]) -> Iterator[str]:
    """Those of paths that answer by the kind of the model are of no known kind, and left out."""
    for kind, paths in (("embed", EMBEDS), ("predict", PREDICTS)):
        count = _sum([sample for sample in items if _path(sample.labels) in paths])
        for name in ("count", "success"):
            yield from _written(f"te_{kind}_{name}", "counter", "Inputs of answered requests", [("", {}, count)])


def _histogram(alias: Alias, samples: Mapping[str, Sequence[Sample]]) -> Iterator[str]:
    """The sum over routes or models; nothing where nothing was counted."""
    given = {
        suffix: [one for one in samples.get(alias.ours + suffix, ()) if one.labels.get("stage", "") == alias.stage]
        for suffix in ("_bucket", "_count", "_sum")
    }
    if not given["_count"]:
        return
    buckets: dict[str, float] = defaultdict(float)  # in the order of the bounds
    for sample in given["_bucket"]:
        buckets[sample.labels["le"]] += sample.value
    rows: list[Row] = [("_bucket", {"le": le}, n) for le, n in buckets.items()]
    rows += [(suffix, {}, _sum(given[suffix])) for suffix in ("_count", "_sum")]
    yield from _written(alias.name, "histogram", alias.text, rows)


def _sum(samples: Iterable[Sample]) -> float:
    return sum(sample.value for sample in samples)


def _written(name: str, kind: str, text: str, rows: Sequence[Row]) -> Iterator[str]:
    """Without `_total`, which the client library puts behind a counter's name and the original does not."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for suffix, labels, value in rows:
        said = ",".join(f'{label}="{word}"' for label, word in labels.items())
        yield f"{name}{suffix}{{{said}}} {float(value)}" if said else f"{name}{suffix} {float(value)}"
