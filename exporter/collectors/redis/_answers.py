"""What is asked beside INFO, by the kind of server, and what the answers say."""

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.catalog import Metric, Sample
from exporter.collectors.redis._info import masters, numbers, parse
from exporter.collectors.redis._session import Answers, Question


def _metric(name: str, help: str, *labels: str) -> Metric:  # noqa: A002 - as in Metric
    return Metric(name, "gauge", help, labels, origin="redis_exporter")


SLOWLOG_LENGTH = _metric("redis_slowlog_length", "Commands in the slow log.")
SLOWLOG_LAST_ID = _metric(
    "redis_slowlog_last_id", "Number of the last command in the slow log; it counts up with each."
)
LAST_SLOW = _metric("redis_last_slow_execution_duration_seconds", "How long that command took.")
LATENCY_LAST = _metric(
    "redis_latency_spike_last",
    "When the event last took longer than latency-monitor-threshold, as a Unix time.",
    "event_name",
)
LATENCY_DURATION = _metric(
    "redis_latency_spike_duration_seconds", "How long the event took then.", "event_name"
)
_WATCHED = ("master_name", "master_address")
CKQUORUM = _metric(
    "redis_sentinel_master_ckquorum_status",
    "Whether enough Sentinels are there to take another master: 1 or 0; the label says what is missing.",
    "master_name",
    "message",
)
OK_SENTINELS = _metric(
    "redis_sentinel_master_ok_sentinels", "Sentinels of the master that answer, this one too.", *_WATCHED
)
OK_SLAVES = _metric("redis_sentinel_master_ok_slaves", "Replicas of the master that answer.", *_WATCHED)
QUORUM = _metric(
    "redis_sentinel_master_setting_ckquorum", "Sentinels that must agree that the master is down.", *_WATCHED
)
FAILOVER_TIMEOUT = _metric(
    "redis_sentinel_master_setting_failover_timeout", "Time for a failover, in milliseconds.", *_WATCHED
)
PARALLEL_SYNCS = _metric(
    "redis_sentinel_master_setting_parallel_syncs",
    "Replicas that may copy from a new master at once.",
    *_WATCHED,
)
DOWN_AFTER = _metric(
    "redis_sentinel_master_setting_down_after_milliseconds",
    "Silence after which a server counts as down, in milliseconds.",
    *_WATCHED,
)
CONFIG_EPOCH = _metric(
    "redis_sentinel_master_config_epoch", "Number of the failover that made it master.", *_WATCHED
)
LAST_PING = _metric(
    "redis_sentinel_master_last_ok_ping_reply_seconds", "Seconds since it last answered a ping.", *_WATCHED
)

SLOWLOG_LEN: Question = ("SLOWLOG", "LEN")
SLOWLOG_LAST: Question = ("SLOWLOG", "GET", "1")
LATENCY: Question = ("LATENCY", "LATEST")
CLUSTER_INFO: Question = ("CLUSTER", "INFO")
MASTERS: Question = ("SENTINEL", "MASTERS")

_BY_SETTING = {
    "quorum": (QUORUM, 1.0),
    "failover-timeout": (FAILOVER_TIMEOUT, 1.0),
    "parallel-syncs": (PARALLEL_SYNCS, 1.0),
    "down-after-milliseconds": (DOWN_AFTER, 1.0),
    "config-epoch": (CONFIG_EPOCH, 1.0),
    "last-ok-ping-reply": (LAST_PING, 1e-3),
}
_AWAY = ("s_down", "o_down")


def plan(text: str) -> Iterator[Question]:
    """Yield what a server that gives this INFO can be asked."""
    info = parse(text)
    if "sentinel_masters" in info:
        yield MASTERS
        for name in masters(info):
            yield from (_of("CKQUORUM", name), _of("SENTINELS", name), _of("REPLICAS", name))
        return
    yield from (SLOWLOG_LEN, SLOWLOG_LAST, LATENCY)
    if info.get("cluster_enabled") == "1" and "cluster_state" not in info:  # Valkey 9.1 says it in INFO
        yield CLUSTER_INFO


def samples(answers: Answers) -> Iterator[Sample]:
    """Yield what was answered; a refused question has no samples."""
    good = {question: answer for question, answer in answers.items() if not isinstance(answer, Exception)}
    if SLOWLOG_LEN in good:
        yield SLOWLOG_LENGTH.sample(good[SLOWLOG_LEN])
    if SLOWLOG_LAST in good:
        number, _, microseconds = (good[SLOWLOG_LAST] or [(0, 0, 0)])[0][:3]
        yield SLOWLOG_LAST_ID.sample(number)
        yield LAST_SLOW.sample(microseconds * 1e-6)
    for event, when, milliseconds, *_ in good.get(LATENCY, ()):
        yield LATENCY_LAST.sample(when, event_name=event)
        yield LATENCY_DURATION.sample(milliseconds * 1e-3, event_name=event)
    if CLUSTER_INFO in good:
        yield from numbers(parse(good[CLUSTER_INFO]))
    for master in map(_pairs, good.get(MASTERS, ())):
        yield from _master(master, answers)


def _master(master: Mapping[str, str], answers: Answers) -> Iterator[Sample]:
    name = master["name"]
    labels = {"master_name": name, "master_address": f"{master['ip']}:{master['port']}"}
    for setting, (metric, factor) in _BY_SETTING.items():
        if setting in master:
            yield metric.sample(float(master[setting]) * factor, **labels)
    quorum = answers.get(_of("CKQUORUM", name))
    if quorum is not None:
        yield CKQUORUM.sample(not isinstance(quorum, Exception), master_name=name, message=str(quorum))
    for kind, metric, itself in (("SENTINELS", OK_SENTINELS, 1), ("REPLICAS", OK_SLAVES, 0)):
        found = answers.get(_of(kind, name))
        if isinstance(found, list):
            well = [each for each in map(_pairs, found) if not any(flag in each["flags"] for flag in _AWAY)]
            yield metric.sample(len(well) + itself, **labels)


def _of(question: str, master: str) -> Question:
    return ("SENTINEL", question, master)


def _pairs(answer: Any) -> Mapping[str, str]:
    """Return an answer of names and values: a list of both in turn, or, in the newer protocol, a map."""
    return answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
