"""Frames that come late out of some buffer below (socket, decoder, driver), seen from the stream's own time stamps."""

_REBASE_AFTER_S = 2.0  # a backlog drains faster than real time; what stays late for longer is a jump of the stream's clock


class StreamLag:
    """How far arrivals lag behind the stream's clock, against the smallest lag seen on this connection.

    After the process or the network stood still, the frames of that time arrive in a burst, and each looks new by the
    time of its arrival. Their time stamps tell: arrival - stream time exceeds the usual by the length of the pause. The two clocks may
    drift; the base follows upwards by 0.1 % of the time between frames, ten times what cheap clocks need, but never by
    more than 1 ms, so that a pause does not move it. A constant delay from exposure to arrival cannot be seen here.
    """

    def __init__(self, max_lag_s: float) -> None:
        """max_lag_s: a lag beyond this for more than 2 s is taken for a jump of the stream's clock, not for lag."""
        self._max_lag_s = max_lag_s
        self._base_s: float | None = None
        self._seen_s = 0.0
        self._late_since_s: float | None = None

    def lag_s(self, stream_time_s: float | None, arrival_s: float) -> float:
        """Seconds by which the frame with this time stamp is late; both times in seconds, any origin. 0 without a time stamp.

        >>> lag = StreamLag(max_lag_s=1.0)
        >>> [round(lag.lag_s(t, arrival), 1) for t, arrival in [(0.0, 100.0), (0.1, 100.1), (0.2, 103.2), (3.1, 103.3)]]
        [0.0, 0.0, 3.0, 0.2]
        """
        if stream_time_s is None:
            return 0.0
        offset_s = arrival_s - stream_time_s
        if self._base_s is None:
            self._base_s = offset_s
        else:
            self._base_s = min(offset_s, self._base_s + 0.001 * min(1.0, arrival_s - self._seen_s))
        self._seen_s = arrival_s
        if offset_s - self._base_s <= self._max_lag_s:
            self._late_since_s = None
        elif self._late_since_s is None:
            self._late_since_s = arrival_s
        elif arrival_s - self._late_since_s > _REBASE_AFTER_S:
            self._base_s, self._late_since_s = offset_s, None
        return offset_s - self._base_s
