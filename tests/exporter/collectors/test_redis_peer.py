"""Held against redis_exporter: the same names, types, labels and values, and reasons for what is left out."""

import asyncio
from pathlib import Path

import redis

from exporter.collectors import Keep
from exporter.collectors import redis as collector
from tests.exporter.collectors import peers
from tests.exporter.collectors.driving import read, with_keep
from tests.exporter.collectors.test_redis import append_to_file

NAMES = Path(__file__).with_name("redis_exporter.names")
CONFIG = "needs CONFIG GET, and who may ask that may read the passwords"

LEFT_OUT = {
    "redis_exporter_*": "about that exporter itself; ours are watchkeeper_collector_*",
    "redis_target_scrape_request_errors_total": "about that exporter itself",
    "redis_last_key_groups_scrape_duration_milliseconds": "about an option of that exporter",
    "redis_config_client_output_buffer_limit_*": CONFIG,
    "redis_config_io_threads": CONFIG,
    "redis_cluster_stats_messages_*": "messages by kind; redis_cluster_messages_* have the sums",
    "redis_commands_latencies_usec": "its buckets come and go with the calls, so no quantile can be had from "
    "them; redis_commands_duration_seconds_total over redis_commands_total is the mean",
    "redis_db_keys_cached": "of KeyDB; release 1.86 puts another number of Redis 7.4 there",
    "redis_latency_percentiles_usec": "since the server's start: a good week drowns a slow hour",
}
# What another connection, or the moment, changes up and down.
UNSTEADY = (
    "redis_memory_used_*",
    "redis_allocator_*",
    "redis_mem_*",
    "redis_client_recent_max_*",
    "redis_connected_clients",
    "redis_instantaneous_*",
    "redis_start_time_seconds",  # the clock less whole seconds of running
    "redis_db_avg_ttl_seconds",
    "redis_lazyfree*",
)
# Where releases before 1.86, such as Debian 12's 1.45, differ from it.
OLDER = {
    "redis_expired_time_cap_reached_total": "a gauge",
    "redis_instance_info": "no label master_replid",
}
# Series that only they have: empty databases but the first.
FEWER = ("redis_db_keys", "redis_db_keys_expiring")


def test_what_it_publishes_is_declared_or_left_out_for_a_reason():
    """Every name of release 1.86 before six kinds of server, with its type and labels."""
    assert peers.differences_from_record(NAMES, LEFT_OUT) == []


def test_both_say_the_same_of_one_server(programs, own_redis):
    """Values too: theirs lie between two readings of ours."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("slowlog-log-slower-than", 0)
        append_to_file(client)
        client.set("a", 1, ex=1000)
        client.mget("a", "b")
        client.execute_command("SELECT", 3)
        client.hset("h", "f", "v")
        failed = client.pipeline(transaction=False).lpop("h").execute(raise_on_error=False)
        assert isinstance(failed[0], redis.ResponseError)
        client.config_set("slowlog-log-slower-than", -1)
    settings = collector.Settings(url=own_redis.url)
    address = f"redis://127.0.0.1:{own_redis.port}"
    with peers.serving(
        programs["redis_exporter"], REDIS_ADDR=address, REDIS_PASSWORD=own_redis.password
    ) as exporter:

        async def scenario(keep: Keep):
            await read(collector, settings, keep)  # so that ours is connected, and its own commands are seen
            await asyncio.to_thread(peers.scraped, exporter)
            before = peers.ours(await read(collector, settings, keep))
            theirs = await asyncio.to_thread(peers.scraped, exporter)
            return before, theirs, peers.ours(await read(collector, settings, keep))

        before, theirs, after = with_keep(scenario)
    names = {name for name in theirs.kinds if name.startswith("redis_")}
    assert names - set(after.kinds) - peers.left_out(names, LEFT_OUT) == {"redis_up"}  # which the scrape adds
    assert len(names & set(after.kinds)) > 100
    older = OLDER if peers.version(programs["redis_exporter"]) < (1, 86) else ()
    found = peers.differences(before, theirs, after, unsteady=UNSTEADY, missing=FEWER, but=older)
    assert found == []
