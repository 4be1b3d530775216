"""Vectors of late chunking, which no chunk's text alone gives: that is said, and no contradiction."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.api import load
from embedstack.catalog import find
from embedstack.identifying.against import prove_against
from embedstack.identifying.held import held
from embedstack.identifying.opening import Place, open_pool
from embedstack.identifying.telling import notes
from embedstack.loading.job_table import JobTable
from embedstack.loading.source import How
from embedstack.origin import LATE, Identity, Origin
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder, hash_spec
from support.kept_vectors import collection, found
from support.tables import WISH, job

DOCS = [{"a.md": ["one", "two"]}]


@pytest.mark.parametrize("is_late", [True, False])
def test_a_jobs_table_says_it(is_late: bool, tmp_path: Path) -> None:
    made = job(tmp_path / "job", DOCS, replace(WISH, late_chunking=is_late))

    looked = open_pool(Place(named=str(made.root)), 10).origin
    loaded = JobTable(made, How()).fields[""].origin

    assert looked == loaded
    assert loaded is not None
    assert loaded.late_chunking is is_late


def test_a_collection_keeps_it(tmp_path: Path) -> None:
    loaded = JobTable(job(tmp_path / "job", DOCS, replace(WISH, late_chunking=True)), How()).fields[""].origin
    place = collection(f"{tmp_path}/store", ["one"], np.ones((1, 8), np.float32), loaded)

    assert open_pool(place, 10).origin == loaded


@pytest.mark.slow
@pytest.mark.quality
def test_identify_says_it_in_place_of_a_contradiction(first: Path, settings: Settings, tmp_path: Path) -> None:
    parts = [f"the bird {number} of the river was the queen of china. " for number in range(12)]
    model = load(str(first), threads=1)
    try:
        vectors = model.encode(parts, late_chunking=True).dense
    finally:
        model.close()
    place = collection(
        f"{tmp_path}/store", parts, vectors, signed(find(str(first), cache_dir=settings.cache_dir).spec.space)
    )

    made = found(place, settings, first)

    assert (made.finding.verdict, made.signed.state) == ("none", "late")
    assert made.signed.says.endswith(f"; {LATE}, so that is neither shown nor refuted")
    assert list(notes(made)) == [
        "the recipe of late chunking cannot be found by the texts of chunks: ask the job's plan for it"
    ]


def test_an_endpoint_that_does_not_fit_is_not_to_blame(tmp_path: Path) -> None:
    spec = hash_spec()
    texts = [f"bird {number}" for number in range(4)]
    random = np.random.default_rng(0).normal(size=(4, spec.dim)).astype(np.float32)
    there = held(collection(f"{tmp_path}/store", texts, random, signed(spec.space, dim=spec.dim)))

    made = asyncio.run(prove_against(HashEncoder([spec]), there, model=spec.name, precision="float32"))

    assert not made.is_proven
    assert made.notes == (f"{LATE}, so this says nothing against the endpoint",)


def signed(space: str, dim: int = 32) -> Origin:
    identity = Identity(model="first", revision="local", space=space, fingerprint="f", dim=dim, max_tokens=256)
    return Origin(identity=identity, late_chunking=True)
