"""What a user named -> a source of rows: a finished job's table, Parquet files or JSON lines."""

from embedstack.loading.asserted import Say, asking
from embedstack.loading.describing import check_names
from embedstack.loading.found import JobFolder, find
from embedstack.loading.json_lines import JsonLines
from embedstack.loading.source import How, Source
from embedstack.settings import Settings


def open_table(url: str, how: How, *, model: str = "", settings: Settings, say: Say) -> Source:
    """Look at what is there and at its first rows; nothing is written.

    Args:
        url: a job's folder; a file, a folder of files or a pattern for names in one; on this machine or in a bucket.
        model: that made the vectors, for rows that do not say whose they are. It is opened here and closed again.
        say: takes a line for the person who waits while a model is fetched.
    Raises:
        ConfigError: nothing is there, no file can be read, or a package is missing. Mismatch: the job is not finished,
            or the vectors are not of that model. BadRequest: files of two forms; rows that cannot be loaded; `how` does
            not suit them; or no model was named where one is needed.
    """
    check_names(how)
    found = find(url)
    if isinstance(found, JobFolder):
        from embedstack.loading.job_table import JobTable  # it needs pyarrow, which JSON lines do without

        return JobTable(found.storage, how, model=model)
    ask = asking(model, found.label, settings, say)
    if found.form == "jsonl":
        return JsonLines(found, how, ask)
    from embedstack.loading.loose_parquet import LooseParquet  # so does this

    return LooseParquet(found, how, ask, model=model)
