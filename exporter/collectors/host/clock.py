"""The machine's clock, and how well it is kept right."""

import ctypes
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from exporter.catalog import Sample
from exporter.collectors.host._metric import gauge

TIME = gauge("node_time_seconds", "The machine's clock, as a Unix time.")
ZONE_OFFSET = gauge(
    "node_time_zone_offset_seconds", "Seconds ahead of UTC; the label names the zone.", "time_zone"
)
SYNC_STATUS = gauge("node_timex_sync_status", "1 when something, such as NTP, keeps the clock right; else 0.")
OFFSET = gauge("node_timex_offset_seconds", "How far the clock was off when it was last put right.")
MAX_ERROR = gauge(
    "node_timex_maxerror_seconds", "How far the clock is off at most; 16 when nothing keeps it right."
)
ESTIMATED_ERROR = gauge("node_timex_estimated_error_seconds", "How far the clock is probably off.")
STATUS = gauge("node_timex_status", "The kernel's bits on how the clock is kept; see adjtimex(2).")
FREQUENCY_ADJUSTMENT = gauge(
    "node_timex_frequency_adjustment_ratio", "By what the clock's speed is multiplied to be right."
)
TICK = gauge("node_timex_tick_seconds", "Seconds between two beats of the clock.")
TAI_OFFSET = gauge("node_timex_tai_offset_seconds", "Seconds by which international atomic time is ahead.")
LOOP_TIME_CONSTANT = gauge("node_timex_loop_time_constant", "How slowly the kernel puts the clock right.")

_ERROR = 5  # what the call returns for a clock that nobody keeps right
_NANO = 0x2000  # offsets are in nanoseconds instead of microseconds
_PPM = 65536 * 1e6  # the kernel counts parts per million in 65536ths


class _Timex(ctypes.Structure):
    """The structure of adjtimex(2)."""

    _fields_ = [
        ("modes", ctypes.c_int),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("room", ctypes.c_int * 11),
    ]


def read() -> Iterator[Sample]:
    """Yield the time, and what the kernel tells of its clock where a container may ask."""
    yield TIME.sample(time.time())
    now = time.localtime()
    yield ZONE_OFFSET.sample(now.tm_gmtoff, time_zone=now.tm_zone)
    timex = _Timex()
    adjtimex = _adjtimex()
    state = adjtimex(ctypes.byref(timex)) if adjtimex else -1
    if state < 0:
        return
    unit = 1e9 if timex.status & _NANO else 1e6
    yield SYNC_STATUS.sample(state != _ERROR)
    yield OFFSET.sample(timex.offset / unit)
    yield MAX_ERROR.sample(timex.maxerror / 1e6)
    yield ESTIMATED_ERROR.sample(timex.esterror / 1e6)
    yield STATUS.sample(timex.status)
    yield FREQUENCY_ADJUSTMENT.sample(1 + timex.freq / _PPM)
    yield TICK.sample(timex.tick / 1e6)
    yield TAI_OFFSET.sample(timex.tai)
    yield LOOP_TIME_CONSTANT.sample(timex.constant)


@cache
def _adjtimex() -> Any:
    """The C library's function; macOS has none."""
    return getattr(ctypes.CDLL(None), "adjtimex", None)
