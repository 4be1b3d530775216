"""A job's records -> source system E's `MonitoringInterface`: numbers, health, and what went wrong.

Source: https://github.com/percy-raskova/marxists.org-rag-db, src/mia_rag/interfaces/contracts.py, version 1.0.0.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from embedstack.documents.document import Json
from embedstack.jobs.dead import Letter, read_dead
from embedstack.jobs.finished import read_manifest
from embedstack.jobs.finishing import MOST_DEAD, most_failed
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.planning import load_plan
from embedstack.jobs.standing import Standing, standing
from embedstack.storage.opening import open_storage

OF_SKIPPED = ("DEBUG", "INFO")  # levels that show what was left out on purpose, too
OF_FAILED = (*OF_SKIPPED, "WARNING")


class MonitoringInterface:
    """Of one job, by what is committed, whoever works on it. All three raise `Missing` where nothing is planned."""

    def __init__(self, out: str | Path) -> None:
        self._storage = open_storage(out)

    async def get_metrics(self) -> dict[str, float]:
        """By the names that `--metrics-port` has, of the whole job instead of one run."""
        now = await asyncio.to_thread(self._standing)
        return {
            "embeddings_batch_progress": now.shards_done / max(1, now.shards),
            "embeddings_vectors_generated": now.rows,
            "mia_embeddings_generated_total": now.rows,
            "embedstack_job_tokens_read_total": now.tokens,
            "embedstack_job_dead_total": now.docs_dead,
        }

    async def get_health(self) -> dict[str, Json]:
        """`degraded` where more documents failed than a run allows by default."""
        now = await asyncio.to_thread(self._standing)
        most = most_failed(MOST_DEAD, now.docs) if now.docs_dead < now.docs else 0  # a share never allows all
        is_well = now.docs_failed <= most
        checks: dict[str, Json] = {"failed_documents": is_well, "is_complete": now.is_finished}
        return {"status": "healthy" if is_well else "degraded", "checks": checks}

    async def get_logs(self, level: str = "INFO", limit: int = 100) -> list[dict[str, Json]]:
        """The last dead letters, as WARNING; skipped ones as INFO. What a run says is on its stderr alone."""
        return await asyncio.to_thread(lambda: list(deque(self._logs(level), maxlen=limit)))

    def _standing(self) -> Standing:
        plan = load_plan(self._storage)
        is_finished = read_manifest(self._storage) is not None
        return standing(plan, Ledger(self._storage, plan).records(), is_finished=is_finished)

    def _logs(self, level: str) -> Iterator[dict[str, Json]]:
        for one in self._letters():
            if level in (OF_SKIPPED if one.skipped else OF_FAILED):
                yield {"level": "INFO" if one.skipped else "WARNING", **msgspec.to_builtins(one)}

    def _letters(self) -> Iterator[Letter]:
        for commit in Ledger(self._storage, load_plan(self._storage)).records():
            if commit.dead:
                yield from read_dead(self._storage.get(commit.dead), commit.dead)
