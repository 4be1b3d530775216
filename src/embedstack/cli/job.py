"""`embedstack job`: long work over many files, planned once and done exactly once."""

import click

from embedstack.cli.lazy import LazyGroup

LATER = {
    "plan": "embedstack.cli.job_plan:plan",
    "run": "embedstack.cli.job_run:run",
    "status": "embedstack.cli.job_look:status",
    "verify": "embedstack.cli.job_verify:verify",
    "gc": "embedstack.cli.job_look:gc",
    "report": "embedstack.cli.job_look:report",
    "export": "embedstack.cli.job_look:export",
    "work": "embedstack.cli.job_work:work",
}


@click.group(cls=LazyGroup, later=LATER)
def job() -> None:
    """Turn folders or buckets of files into Parquet tables of vectors, in steps that survive a crash.

    \b
    embedstack job plan ./docs --output ./vectors        what is read and how it is cut, written once
    embedstack job run ./vectors                         do it; after a crash or Ctrl-C the same command goes on
    embedstack job status ./vectors                      how far it is
    embedstack job verify ./vectors --deep               whether every number in it is borne out by the files

    Input and output may be folders or s3://bucket/prefix and gs://bucket/prefix. It needs embedstack[jobs].
    """
