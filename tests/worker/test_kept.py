"""Which outputs are kept."""

from embedstack.worker.kept import Kept, key_of
from embedstack.worker.output import Output

A, B, C = (key_of(name, b"{}") for name in "abc")


def test_the_same_id_with_another_input_is_another_job() -> None:
    kept = Kept()
    kept.put(key_of("a", b"1"), Output(b"[1]"))

    assert kept.get(key_of("a", b"2")) is None
    assert kept.get(key_of("a", b"1")) == Output(b"[1]")


def test_what_was_not_used_for_longest_goes_first() -> None:
    kept = Kept(most_bytes=6)
    kept.put(A, Output(b"[1]"))
    kept.put(B, Output(b"[2]"))
    kept.get(A)
    kept.put(C, Output(b"[3]"))

    assert [kept.get(key) is not None for key in (A, B, C)] == [True, False, True]


def test_an_output_larger_than_all_the_room_is_not_kept_and_the_count_stays_right() -> None:
    kept = Kept(most_bytes=6)
    kept.put(A, Output(b"1234567"))
    kept.put(B, Output(b"123456"))

    assert (kept.get(A), kept.get(B)) == (None, Output(b"123456"))


def test_an_output_that_is_kept_twice_counts_once() -> None:
    kept = Kept(most_bytes=6)
    for _ in range(3):
        kept.put(A, Output(b"[1]"))
    kept.put(B, Output(b"[2]"))

    assert kept.get(A) == Output(b"[1]")
