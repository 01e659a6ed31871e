"""Redis: INFO as recorded, a real server, and one in trouble."""

import asyncio
import logging
import os
import time
from pathlib import Path

import pytest
import redis
from pydantic import ValidationError

from exporter.collectors import Keep
from exporter.collectors import redis as collector
from exporter.collectors._reasons import reason
from exporter.collectors.redis import CACHE_HIT_RATIO, _fields, _info, _work
from exporter.store.text import families, page
from tests.exporter.collectors.driving import (
    connections_at,
    failure,
    read,
    read_once,
    value,
    values,
    with_keep,
)
from tests.waiting import wait_for

INFO = Path(__file__).with_name("info.txt")
EXPECTED = Path(__file__).with_name("redis.txt")
SECRET = "hunter2"


def prepare(own_redis):
    """For the contract: a young server with lookups, an append-only file, and a slow command."""
    with redis.Redis.from_url(own_redis.url) as client:
        append_to_file(client)
        slow_command(client)
        client.set("contract", 1)
        client.get("contract")
        with pytest.raises(redis.exceptions.ResponseError):
            client.lpop("contract")
    yield {"url": own_redis.url}


def append_to_file(client: redis.Redis) -> None:
    """Switch the append-only file on, and wait for it: the server does not stop before."""
    client.config_set("appendonly", "yes")

    def written():
        state = client.info("persistence")
        return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])

    wait_for(written)


def slow_command(client: redis.Redis) -> None:
    """Run a script for some milliseconds, where one is remembered as a spike and as slow."""
    client.config_set("latency-monitor-threshold", 1)
    client.config_set("slowlog-log-slower-than", 1000)
    client.eval("for n = 1, 2000000 do end", 0)


class Clock:
    """Seconds that only pass when told."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_recorded_info_gives_the_expected_page():
    """Every field has the name, labels and base unit that redis_exporter gives it.

    After a wanted change: UPDATE_EXPECTED=1, and read the difference.
    """
    text = page(families(_info.samples(_info.parse(INFO.read_text()), now=1_000_000))).decode()
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()


@pytest.mark.parametrize(
    ("line", "metric", "label"),
    [
        ("cmdstat_c{}:calls=1,usec=2", _info.COMMANDS, "cmd"),
        ("errorstat_E{}:count=1", _info.ERRORS, "err"),
        ("db{}:keys=1,expires=0,avg_ttl=0", _info.DB_KEYS, "db"),
    ],
)
def test_names_that_come_from_outside_are_bounded(line: str, metric, label: str):
    """However many there are, most have their own series, and one series has the rest of the sum."""
    count = _info.MOST[label] + 50
    text = "\n".join(["role:master", *(line.format(number) for number in range(count))])
    found = values(list(_info.samples(_info.parse(text))), metric)
    assert len(found) == _info.MOST[label] + 1
    assert sum(found) == count


def test_a_word_in_place_of_a_number_costs_its_own_metric_only():
    """What a version or a managed service puts there is not known to all."""
    samples = list(_info.samples({"used_memory": "n/a", "connected_clients": "3", "role": "master"}))
    assert values(samples, _fields.BY_FIELD["used_memory"]) == []
    assert value(samples, _fields.BY_FIELD["connected_clients"]) == 3


def test_a_real_server_is_read(redis_server):
    """Version, clients, memory, keys and commands of a live server."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("seen", 1)
    samples = read_once(collector, collector.Settings(url=redis_server.url))
    assert value(samples, _fields.BY_FIELD["connected_clients"]) >= 1
    assert value(samples, _fields.BY_FIELD["maxmemory"]) == 64 * 2**20
    assert value(samples, _info.DB_KEYS, db="db0") >= 1
    assert value(samples, _info.COMMANDS, cmd="set") >= 1


def test_the_hit_ratio_follows_the_last_five_minutes(own_redis):
    """Three hits and a miss are 0.75 under the cache's name; five quiet minutes later there is no sample."""
    settings, clock = collector.Settings(url=own_redis.url, cache="pages"), Clock()

    async def scenario(keep: Keep):
        assert values(await read(collector, settings, keep, clock=clock), CACHE_HIT_RATIO) == []
        with redis.Redis.from_url(own_redis.url) as client:
            client.set("k", 1)
            client.mget("k", "k", "k", "gone")
        clock.now += 15
        samples = await read(collector, settings, keep, clock=clock)
        assert value(samples, CACHE_HIT_RATIO, cache="pages") == 0.75
        clock.now += 15
        await read(collector, settings, keep, clock=clock)
        clock.now += 299
        assert values(await read(collector, settings, keep, clock=clock), CACHE_HIT_RATIO) == []

    with_keep(scenario)


def test_one_connection_serves_many_runs_and_survives_a_restart(own_redis):
    """Runs share a connection; one that a restart has closed costs no run."""
    settings = collector.Settings(url=own_redis.url)

    async def scenario(keep: Keep):
        for _ in range(3):
            samples = await read(collector, settings, keep)
        assert value(samples, _work.BY_FIELD["total_connections_received"]) <= 2  # ours, and the fixture's
        await asyncio.to_thread(own_redis.restart)
        return await read(collector, settings, keep)

    assert with_keep(scenario)


def test_a_server_that_is_down_is_called_down(own_redis):
    """A refused connection is an error at once, not after retries."""
    own_redis.stop()
    begun = time.monotonic()
    error = failure(collector, collector.Settings(url=own_redis.url))
    assert reason(error) == "down"
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("held", [True, False], ids=["with a connection", "without one"])
def test_a_frozen_server_holds_nobody_and_gets_one_connection(own_redis, held: bool):
    """Each run ends in time, all runs share the one connection, and it serves after the thaw."""
    settings = collector.Settings(url=own_redis.url)

    async def scenario(keep: Keep):
        if held:
            await read(collector, settings, keep)
        own_redis.freeze()
        begun = time.monotonic()
        for _ in range(4):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await read(collector, settings, keep)
            assert reason(caught.value) == "timeout"
            await keep.drop()
            assert connections_at(own_redis.port) == 1
        assert time.monotonic() - begun < 4 * 0.2 + 1
        own_redis.thaw()
        await read(collector, settings, keep)
        assert connections_at(own_redis.port) == 1

    with_keep(scenario)


def test_a_server_that_dies_while_it_hangs_is_down_then_read(own_redis):
    """The reading that waited for it learns of its end, and the next run reads its successor."""
    settings = collector.Settings(url=own_redis.url)

    async def scenario(keep: Keep):
        await read(collector, settings, keep)
        own_redis.freeze()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await read(collector, settings, keep)
        own_redis.kill()
        with pytest.raises(redis.ConnectionError) as caught:
            await read(collector, settings, keep)
        assert reason(caught.value) == "down"
        await asyncio.to_thread(own_redis.start)
        return await read(collector, settings, keep)

    assert with_keep(scenario)


def test_a_wrong_password_is_called_auth_and_not_shown(redis_server, caplog):
    """A refused login says so, and the password is in no message and no log, however talkative."""
    caplog.set_level(logging.DEBUG)
    url = f"redis://:{SECRET}@127.0.0.1:{redis_server.port}/0"
    error = failure(collector, collector.Settings(url=url))
    assert reason(error) == "auth"
    assert SECRET not in repr(error) + caplog.text
    assert (
        reason(failure(collector, collector.Settings(url=f"redis://127.0.0.1:{redis_server.port}"))) == "auth"
    )


def test_a_full_server_is_called_full(own_redis):
    """Without room for another client the reason is `too_many_connections`."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxclients", 1)
        error = failure(collector, collector.Settings(url=own_redis.url))
    assert reason(error) == "too_many_connections"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@cache/0",
        f"redis://:{SECRET}#@cache/0",
        f"redis://:{SECRET}@cache:port",
        f"http://:{SECRET}@cache",
        f"redis://:{SECRET}@cache/zero",
    ],
)
def test_a_malformed_address_is_refused_and_not_shown(url: str):
    """The settings say what an address looks like, and quote nothing of the one that was given."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(url=url)
    assert "must look like redis://" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        ("?foo=bar", "url has the unknown parameter 'foo'"),
        ("?db=1&retry=1", "url has the unknown parameter 'retry'"),
        ("?decode_responses=", "url has the unknown parameter 'decode_responses'"),
        ("?db=first", "url has a port or a parameter that the driver refuses"),
        ("?protocol=9", "url has a port or a parameter that the driver refuses"),
        ("?ssl_ca_certs=/ca", "url has a port or a parameter that the driver refuses"),  # not without rediss
        (":99999", "url has a port or a parameter that the driver refuses"),
    ],
)
def test_what_the_driver_would_refuse_is_refused_at_the_start(rest: str, fault: str):
    """Not at the first scrape, as an unexpected error of ours."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(url=f"redis://:{SECRET}@cache{rest}")
    assert fault in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_address_can_come_from_a_file(redis_server, tmp_path):
    """`url_file` is as good as `url`."""
    file = tmp_path / "url"
    file.write_text(redis_server.url + "\n")
    assert read_once(collector, collector.Settings(url_file=file))


@pytest.mark.parametrize(
    "url", ["unix:///run/redis.sock?db=1", "rediss://u:p%40@[::1]:6380/2?ssl_cert_reqs=none", "redis://cache"]
)
def test_addresses_of_every_usual_form_are_taken(url: str):
    """Sockets, TLS and IPv6 are all addresses."""
    assert collector.Settings(url=url).address() == url


def test_a_replica_is_seen_from_both_ends(own_redis, redis_server):
    """The master tells the replica's lag, and the replica whether it is linked."""
    with redis.Redis.from_url(redis_server.url) as master:
        master.config_set("repl-diskless-sync-delay", 0)  # else it waits 5 s for more replicas
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("masterauth", redis_server.password)
        client.replicaof("127.0.0.1", redis_server.port)

        def linked():
            samples = read_once(collector, collector.Settings(url=own_redis.url))
            return samples if values(samples, _info.MASTER_LINK_UP) == [1] else None

        def lag():
            samples = read_once(collector, collector.Settings(url=redis_server.url))
            return values(samples, _info.SLAVE_LAG, slave_port=str(own_redis.port), slave_state="online")

        assert value(wait_for(linked, seconds=20), _info.MASTER_SYNC_IN_PROGRESS) == 0
        assert wait_for(lag)[0] <= 10
        client.replicaof("NO", "ONE")
