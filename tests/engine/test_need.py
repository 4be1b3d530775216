"""What a model will need, and who makes room for it."""

from dataclasses import replace

import pytest

from embedstack.engine.need import FACTORS, MB, Candidate, Need, Sizes, estimate, next_to_go, too_large

MINILM = Sizes(10_700_000, 12_000_000, is_float32=True, tokenizer_bytes=466_000, widest=1536)


def need_of(sizes: Sizes = MINILM, runtime: str = "openvino", precision: str = "float32", **change: int) -> Need:
    return estimate(sizes, runtime, precision, **{"lanes": 1, "batch_tokens": 1024, **change})


@pytest.mark.parametrize(("runtime", "precision"), FACTORS)
def test_the_peak_is_never_below_what_is_held(runtime: str, precision: str) -> None:
    need = need_of(runtime=runtime, precision=precision)

    assert need.peak_bytes >= need.held_bytes


def test_minilm_is_estimated_near_what_was_measured() -> None:
    need = need_of()

    assert 69 * MB <= need.held_bytes <= 2 * 69 * MB


def test_a_second_lane_needs_room_for_its_batch() -> None:
    assert need_of(lanes=2).held_bytes - need_of().held_bytes == 16 * 1536 * 1024


def test_what_longer_batches_than_those_weighed_take_is_told() -> None:
    need = need_of(batch_tokens=1024, weighed_tokens=1000)

    assert need.beyond_bytes == 16 * 1536 * 24
    assert need.held_bytes == need_of(batch_tokens=1024).held_bytes


def test_of_a_decoder_openvino_holds_who_sees_whom() -> None:
    decoder = replace(MINILM, causal_tokens=900)

    assert need_of(decoder, lanes=2).held_bytes - need_of(lanes=2).held_bytes == 2 * 900 * 900
    assert need_of(decoder, runtime="onnx") == need_of(runtime="onnx")


def test_tables_that_are_not_float32_in_the_file_take_memory_of_their_own() -> None:
    other = Sizes(MINILM.products, MINILM.tables, False, MINILM.tokenizer_bytes, MINILM.widest)

    assert need_of(other).held_bytes - need_of().held_bytes == 4 * MINILM.tables


def test_what_was_never_measured_is_taken_to_need_the_most() -> None:
    unknown = need_of(runtime="torch", precision="float16")

    assert all(unknown.held_bytes >= need_of(runtime=one, precision=other).held_bytes for one, other in FACTORS)


def test_a_larger_model_takes_longer() -> None:
    large = Sizes(300_000_000, 250_000_000, True, 17_000_000, 4096)

    assert need_of(large).load_s > need_of().load_s + 5


def test_the_one_not_used_for_longest_goes_first() -> None:
    assert next_to_go([Candidate("new", 9.0), Candidate("old", 1.0), Candidate("middle", 5.0)]).name == "old"


def test_an_idle_model_goes_before_a_busy_one() -> None:
    assert next_to_go([Candidate("busy", 1.0, in_flight=1), Candidate("idle", 9.0)]).name == "idle"


def test_a_model_that_nobody_got_to_use_goes_after_those_that_were_used() -> None:
    assert next_to_go([Candidate("fresh", 1.0, is_fresh=True), Candidate("used", 9.0)]).name == "used"


def test_nobody_can_go_where_nobody_is() -> None:
    assert next_to_go([]) is None


def test_what_cannot_fit_is_told_with_both_numbers() -> None:
    why = too_large("big", Need(500 * MB, 700 * MB, 1.0), 600 * MB, 40 * MB)

    assert "'big' needs 700 MB" in why
    assert "40 MB for itself" in why
    assert "the ceiling of 600 MB leaves 570 MB" in why
    assert "estimated" in why


def test_what_was_measured_is_said_to_be() -> None:
    assert "was measured" in too_large("big", Need(500 * MB, 700 * MB, 1.0, is_measured=True), 600 * MB, 0)


def test_what_fits_exactly_fits() -> None:
    assert too_large("big", Need(500 * MB, 530 * MB, 1.0), 600 * MB, 40 * MB) == ""
    assert too_large("big", Need(500 * MB, 531 * MB, 1.0), 600 * MB, 40 * MB) != ""
