"""Which shard a runner takes next."""

import pytest

from embedstack.jobs.course import Course, part_of


def own(course: Course) -> list[int]:
    return list(iter(course.own, None))


def others(course: Course) -> list[int]:
    return list(iter(course.others, None))


@pytest.mark.parametrize(("shards", "parts"), [(10, 3), (2, 5), (7, 7), (0, 2), (1000, 16)])
def test_parts_are_all_shards_and_none_twice(shards: int, parts: int) -> None:
    taken = [number for part in range(parts) for number in part_of(shards, (part, parts))]

    assert taken == list(range(shards))


def test_parts_are_of_equal_size() -> None:
    sizes = [len(part_of(11, (part, 4))) for part in range(4)]

    assert max(sizes) - min(sizes) <= 1


def test_a_lone_runner_goes_forwards() -> None:
    assert own(Course(4, ())) == [0, 1, 2, 3]


def test_what_is_done_is_not_taken() -> None:
    assert own(Course(5, {1, 3})) == [0, 2, 4]


def test_a_lone_runner_has_no_others() -> None:
    course = Course(4, ())

    assert not course.has_others
    assert course.others() is None


def test_a_part_is_taken_forwards_and_others_from_their_ends() -> None:
    course = Course(6, (), (0, 2))

    assert (own(course), others(course)) == ([0, 1, 2], [5, 4, 3])


def test_runners_begin_with_different_others() -> None:
    firsts = [Course(9, (), (part, 3)).others() for part in range(3)]

    assert len(set(firsts)) == 3


def test_what_a_living_runner_has_in_its_hands_is_left_to_it() -> None:
    course = Course(10, (), (0, 2), keep_off=2)
    course.saw({5})

    assert others(course) == [9, 8]


def test_of_a_runner_that_did_nothing_all_is_taken() -> None:
    course = Course(10, {5}, (0, 2), keep_off=2)

    assert others(course) == [9, 8, 7, 6]


def test_own_work_is_no_sign_of_another_runner() -> None:
    course = Course(4, (), (0, 2), keep_off=2)
    taken = course.others()
    course.saw({3})

    assert (taken, others(course)) == (3, [2])


def test_a_jump_goes_to_the_middle_of_the_longest_run() -> None:
    course = Course(20, {5})
    course.jump()

    assert course.own() == 13


def test_after_a_jump_the_rest_is_taken_too() -> None:
    course = Course(8, ())
    course.saw({0, 1})
    course.jump()

    assert own(course) == [5, 6, 7, 2, 3, 4]


def test_a_jump_with_nothing_left_changes_nothing() -> None:
    course = Course(2, {0, 1})
    course.jump()

    assert course.own() is None


def test_one_shard_can_be_taken_out_of_turn_once() -> None:
    course = Course(3, ())

    assert (course.take(1), course.take(1), own(course)) == (True, False, [0, 2])


def test_a_shard_of_another_part_may_be_taken_out_of_turn() -> None:
    course = Course(4, (), (0, 2))

    assert (course.take(3), own(course), others(course)) == (True, [0, 1], [2])
