"""Deaths of processes: which shard and which document is to blame, and when it is of no use to go on."""

from embedstack.jobs.quarantine import BARREN, BLAMED, HOPELESS, LONGEST_PAUSE_S, SUSPECT, Again, Hopeless, Quarantine
from support.job_events import did, started, took, trying

WHY = "by SIGKILL"


def dead_over(quarantine: Quarantine, *shards: int, seat: int = 0) -> Again | Hopeless:
    quarantine.told(seat, started())
    for shard in shards:
        quarantine.told(seat, took(shard))
    return quarantine.died(seat, WHY)


def test_one_death_over_a_shard_makes_nobody_careful() -> None:
    quarantine = Quarantine()

    dead_over(quarantine, 5)

    assert not quarantine.careful


def test_a_shard_that_killed_twice_is_done_with_care() -> None:
    quarantine = Quarantine()

    for _ in range(SUSPECT):
        dead_over(quarantine, 5)

    assert quarantine.careful == {5: frozenset()}


def test_two_deaths_over_two_shards_make_nobody_careful() -> None:
    quarantine = Quarantine()

    dead_over(quarantine, 5)
    dead_over(quarantine, 6)

    assert not quarantine.careful


def test_every_shard_in_hand_is_suspected() -> None:
    quarantine = Quarantine()

    for _ in range(SUSPECT):
        dead_over(quarantine, 5, 6)

    assert set(quarantine.careful) == {5, 6}


def test_deaths_of_several_parts_over_one_shard_count_together() -> None:
    quarantine = Quarantine()

    dead_over(quarantine, 5, seat=0)
    dead_over(quarantine, 5, seat=1)

    assert set(quarantine.careful) == {5}


def test_a_shard_that_was_done_is_no_longer_suspected() -> None:
    quarantine = Quarantine()
    dead_over(quarantine, 5)

    quarantine.told(0, took(5))
    quarantine.told(0, did(5))
    dead_over(quarantine, 5)

    assert not quarantine.careful


def dead_over_document(quarantine: Quarantine, shard: int, place: int) -> Again | Hopeless:
    for number in range(place + 1):
        quarantine.told(0, trying(shard, number))
    return quarantine.died(0, WHY)


def test_one_death_over_a_document_may_come_from_outside_and_blames_nobody() -> None:
    quarantine = Quarantine()

    verdict = dead_over_document(quarantine, 5, 2)

    assert quarantine.careful == {5: frozenset()}
    assert "it is tried again" in verdict.note


def test_a_document_over_which_processes_die_again_is_left_out() -> None:
    quarantine = Quarantine()

    verdicts = [dead_over_document(quarantine, 5, 2) for _ in range(BLAMED)]

    assert quarantine.careful == {5: frozenset({2})}
    assert f"ended {BLAMED} processes" in verdicts[-1].note


def test_deaths_over_several_documents_do_not_add_up() -> None:
    quarantine = Quarantine()

    for shard, place in ((5, 2), (5, 3), (6, 2)):
        dead_over_document(quarantine, shard, place)

    assert quarantine.careful == {5: frozenset(), 6: frozenset()}


def test_a_second_document_of_a_shard_is_left_out_beside_the_first() -> None:
    quarantine = Quarantine()

    for place in (2, 7) * BLAMED:
        dead_over_document(quarantine, 5, place)

    assert quarantine.careful == {5: frozenset({2, 7})}


def test_the_last_document_tried_is_not_blamed_once_trying_is_over() -> None:
    quarantine = Quarantine()
    quarantine.told(0, took(5))
    quarantine.told(0, trying(5, 9))

    quarantine.told(0, trying(5, -1))
    quarantine.died(0, WHY)

    assert not quarantine.careful


def test_a_shard_that_kills_and_no_document_of_it_ends_the_job() -> None:
    quarantine = Quarantine()

    verdicts = [dead_over(quarantine, 5) for _ in range(HOPELESS)]

    assert [isinstance(verdict, Hopeless) for verdict in verdicts] == [False] * (HOPELESS - 1) + [True]


def test_who_dies_before_any_shard_again_and_again_is_not_started_for_ever() -> None:
    quarantine = Quarantine()

    verdicts = [quarantine.died(0, WHY) for _ in range(BARREN)]

    assert [isinstance(verdict, Hopeless) for verdict in verdicts] == [False] * (BARREN - 1) + [True]


def test_an_end_that_somebody_asked_for_blames_no_shard() -> None:
    quarantine = Quarantine()

    for _ in range(SUSPECT):
        quarantine.told(0, took(5))
        quarantine.died(0, WHY, is_blamed=False)

    assert not quarantine.careful


def test_pauses_grow_and_are_short_again_once_a_shard_is_done() -> None:
    quarantine = Quarantine(first_pause_s=1.0)

    grown = [dead_over(quarantine, shard).after_s for shard in range(8)]
    quarantine.told(0, did(99))
    after = dead_over(quarantine, 100).after_s

    assert grown[:3] == [1.0, 2.0, 4.0]
    assert grown[-1] == LONGEST_PAUSE_S
    assert after == 1.0
