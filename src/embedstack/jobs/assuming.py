"""A plan and what was measured of it -> what an estimate takes for granted, in sentences. Pure."""

from collections import Counter
from collections.abc import Iterator

from embedstack.jobs.estimated import Measured, amount, time_of
from embedstack.jobs.plan import Plan
from embedstack.jobs.surveying import Survey, totals
from embedstack.jobs.weighing import vector_share


def assumptions(
    plan: Plan, measured: Measured, *, price_per_hour: float | None, for_bytes: int | None, drift: float
) -> tuple[str, ...]:
    """The ones that could be wrong first."""
    parts = (
        _input(plan, for_bytes),
        _looked(plan, measured.survey, is_other=for_bytes not in (None, plan.bytes)),
        _speed(measured, drift),
        _host(measured),
        _price(price_per_hour),
        _dead(measured.survey),
        _size(plan, measured),
        _special(plan, measured),
    )
    return tuple(sentence for part in parts for sentence in part)


def _input(plan: Plan, for_bytes: int | None) -> Iterator[str]:
    if for_bytes is not None and for_bytes != plan.bytes:
        yield (
            f"{amount(for_bytes)}B of input are like the {amount(plan.bytes)}B of this plan: the same languages, kinds "
            "of files, lengths and compression. Where they are not, every number changes in proportion to their tokens."
        )


def _looked(plan: Plan, survey: Survey, *, is_other: bool) -> Iterator[str]:
    count = len(survey.looked) + survey.too_large
    if is_other:
        yield f"{count:,} of the plan's {plan.docs:,} documents were looked at."
    elif survey.all_files and survey.all_rows and count >= plan.docs:
        yield "Every document was looked at, so tokens and chunks are counted, not estimated."
    else:
        yield f"The other {max(0, plan.docs - count):,} documents are like the {count:,} that were drawn all over."


def _speed(measured: Measured, drift: float) -> Iterator[str]:
    calibration = measured.calibration
    least, most = min(calibration.rates), max(calibration.rates)
    where = "the endpoint" if measured.is_endpoint else "this machine"
    yield (
        f"{where.capitalize()} stays within {drift:.0%} of the {amount(calibration.speed)} tokens/s that it did in "
        f"{calibration.took_s:.0f} s, with texts cut and parts written meanwhile ({len(calibration.rates)} rounds: "
        f"{amount(least)} to {amount(most)}). Nothing else uses it."
    )
    yield "One process does all of it and is never stopped; each stop costs the shards in hand and another start."
    if measured.is_endpoint:
        yield "No call has to be made again, and nobody else's calls are in the way."


def _host(measured: Measured) -> Iterator[str]:
    one = totals(measured.survey)
    device_s = one.tokens / measured.calibration.speed
    shares = f"{time_of(one.host_s / 3600)} in one thread, and the device takes {time_of(device_s / 3600)}"
    if one.host_s > device_s:
        yield (
            f"Reading decides, and the device waits: to read and cut this plan's input takes {shares}. The "
            "input is read as fast later on; where it comes over a network, more --processes read side by side."
        )
    else:
        yield f"The device decides: to read and cut this plan's input takes {shares}."


def _price(price_per_hour: float | None) -> Iterator[str]:
    if price_per_hour is not None:
        yield (
            f"The machine costs ${price_per_hour:g} an hour from the job's start to its end, and is given back then. "
            "Booting it, fetching the model, storage, requests to a bucket and traffic are not in it."
        )


def _dead(survey: Survey) -> Iterator[str]:
    codes = Counter(one.code for one in survey.looked if one.code)
    if codes:
        told = ", ".join(f"{count} {code}" for code, count in codes.most_common())
        yield f"Of the documents that were drawn some will have no rows ({told}), and so it is with the others."
    if survey.too_large:
        yield f"{survey.too_large:,} files are larger than --max-document-mb, so they will have no rows."


def _size(plan: Plan, measured: Measured) -> Iterator[str]:
    share, parts = vector_share(plan, measured.parts), measured.parts
    yield (
        f"Vectors are {share:.0%} of the output ({plan.identity.dim} numbers, {plan.wish.storing}) and hardly shrink: "
        f"{plan.wish.compression} was measured on {sum(part.rows for part in parts):,} rows in {len(parts)} parts."
    )


def _special(plan: Plan, measured: Measured) -> Iterator[str]:
    if plan.wish.since:
        yield "No vector is taken over from the job before; each one that is makes it less."
    if plan.wish.late_chunking:
        yield f"With late chunking the model reads {measured.calibration.read_share:.2f} tokens for each of a chunk."
    if not measured.open_s:
        yield "The time to open the model was not measured and is not in it."
