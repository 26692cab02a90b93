import doctest

from qc.ingest import lag, rtsp
from qc.ingest.lag import StreamLag


def test_doctests() -> None:
    assert doctest.testmod(lag) == (0, 2)
    assert doctest.testmod(rtsp) == (0, 1)


def test_jitter_shows_and_drifting_clocks_do_not() -> None:
    guard = StreamLag(max_lag_s=0.5)
    for frame in range(200_000):  # nearly two hours at 30 Hz; the camera's clock is 100 ppm slow
        stream_s = frame / 30
        jitter_s = 0.2 * (frame % 7 == 3)
        assert jitter_s - 0.001 <= guard.lag_s(stream_s, 50 + stream_s * 1.0001 + jitter_s) < jitter_s + 0.001


def test_a_jump_of_the_streams_clock_costs_two_seconds_and_no_more() -> None:
    guard = StreamLag(max_lag_s=0.5)
    assert guard.lag_s(100.0, 0.0) == 0
    late = [guard.lag_s(frame / 10, frame / 10 + 0.1) > 0.5 for frame in range(100)]  # restarted at 0
    assert all(late[:20])
    assert not any(late[22:])


def test_frames_without_time_stamps_are_taken_as_fresh() -> None:
    guard = StreamLag(max_lag_s=0.5)
    assert guard.lag_s(1.0, 0.0) == 0
    assert guard.lag_s(None, 99.0) == 0
