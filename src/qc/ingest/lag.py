"""Frames that come late out of some buffer below (socket, decoder, driver), seen from the stream's own time stamps."""

_REBASE_AFTER_S = 2.0  # a backlog drains faster than real time; what stays late for longer is a jump of the stream's clock


class StreamLag:
    """How far arrivals lag behind the stream's clock, against the smallest lag seen on this connection.

    After the process or the network stood still, the frames of that time arrive in a burst, and each looks new by the
    time of its arrival. Their time stamps tell: arrival - stream time exceeds the usual by the length of the pause.
    The two clocks may drift; the base follows upwards by 0.1 % of the time between frames, ten times what cheap
    clocks need, but never by more than 1 ms, so that a pause does not move it.
    """

    def __init__(self, max_lag_s: float) -> None:
        self._max_lag_s = max_lag_s
        self._base_s: float | None = None
        self._seen_s = 0.0
        self._late_since_s: float | None = None

    def is_stale(self, stream_time_s: float | None, arrival_s: float) -> bool:
        """True when the frame with this time stamp lags by more than max_lag_s; both in seconds, any origin.

        >>> lag = StreamLag(max_lag_s=1.0)
        >>> [lag.is_stale(t, arrival) for t, arrival in [(0.0, 100.0), (0.1, 100.1), (0.2, 103.2), (3.1, 103.3)]]
        [False, False, True, False]
        """
        if stream_time_s is None:
            return False
        offset_s = arrival_s - stream_time_s
        if self._base_s is None:
            self._base_s = offset_s
        else:
            self._base_s = min(offset_s, self._base_s + 0.001 * min(1.0, arrival_s - self._seen_s))
        self._seen_s = arrival_s
        if offset_s - self._base_s <= self._max_lag_s:
            self._late_since_s = None
            return False
        if self._late_since_s is None:
            self._late_since_s = arrival_s
        if arrival_s - self._late_since_s > _REBASE_AFTER_S:
            self._base_s, self._late_since_s = offset_s, None
            return False
        return True
