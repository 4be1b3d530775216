"""Frames become one vector and parts."""

from itertools import pairwise

import numpy as np
import pytest

from embedstack.dialects.frames import Segment, aggregated, segments


def scenes(*lengths: int, noise: float = 0.02) -> np.ndarray:
    """Frames of scenes that have nothing to do with each other, each frame a little other than the next."""
    draw = np.random.default_rng(5)
    return np.concatenate(
        [draw.normal(0, 1, 64) / 8 + noise * draw.normal(0, 1, (length, 64)) / 8 for length in lengths]
    )


@pytest.mark.parametrize("lengths", [(4, 3, 5), (1, 6), (8,), (1,), (2, 1, 2)])
def test_scenes_are_found_where_they_were_cut(lengths):
    ends = np.cumsum([0, *lengths]).tolist()

    found = segments(scenes(*lengths))

    assert found == [Segment(start, stop) for start, stop in pairwise(ends)]


def test_frames_that_return_are_a_part_of_their_own():
    one, other = scenes(1, 1)

    assert segments(np.stack([one, one, other, one])) == [Segment(0, 2), Segment(2, 3), Segment(3, 4)]


def test_the_vector_of_a_video_has_length_one_and_lies_between_its_frames():
    frames = scenes(1, 1)

    made = aggregated(frames)

    assert np.linalg.norm(made) == pytest.approx(1)
    cosines = frames @ made / np.linalg.norm(frames, axis=1)
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-6)


def test_a_long_frame_counts_no_more_than_a_short_one():
    frames = scenes(1, 1)

    assert aggregated(frames * [[5.0], [1.0]]) == pytest.approx(aggregated(frames), abs=1e-6)


def test_many_frames_are_cut_in_no_time():
    """Each merge works out the costs of its two neighbours alone."""
    frames = scenes(*[20] * 100)

    assert len(segments(frames)) == 100
