"""Redis as a replica, a Sentinel and a node of a cluster; users with few rights; TLS."""

import shutil
import subprocess
from urllib.parse import quote

import pytest
import redis

from exporter.collectors import Keep
from exporter.collectors import redis as collector
from exporter.collectors._reasons import advice, reason
from exporter.collectors.redis import RIGHTS, SENTINEL_RIGHTS, _answers, _info, _session, _work
from tests.exporter.collectors.driving import failure, read, read_once, value, values, with_keep
from tests.exporter.collectors.test_redis import SECRET, slow_command
from tests.redises import cluster_port, join
from tests.waiting import wait_for

AWKWARD = "p@ss/w:rd%#é"


def samples_of(server, **more):
    return read_once(collector, collector.Settings(url=server.url, **more))


def user(server, rights: str, name: str = "mon", password: str = SECRET) -> collector.Settings:
    """Make a user with these rights; the settings to log in as that user."""
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", name, "on", f">{password}", *rights.split())
    return collector.Settings(url=f"redis://{name}:{quote(password, safe='')}@127.0.0.1:{server.port}")


def test_the_slow_log_and_spikes_are_read(own_redis):
    """How many commands were slow, how long the last took, and when the server was last held up."""
    with redis.Redis.from_url(own_redis.url) as client:
        slow_command(client)
        samples = samples_of(own_redis)
        assert value(samples, _answers.SLOWLOG_LENGTH) == client.slowlog_len() >= 1
    assert 0.001 <= value(samples, _answers.LAST_SLOW) < 10
    assert 0.001 <= value(samples, _answers.LATENCY_DURATION, event_name="command") < 10
    assert value(samples, _answers.LATENCY_LAST, event_name="command") > 1_700_000_000


def test_the_documented_rights_are_enough(own_redis):
    """A user with RIGHTS alone gets all, refuses nothing, and sees no key."""
    settings = user(own_redis, RIGHTS, password=AWKWARD)

    def lines(samples):
        return {
            (sample.metric.name, sample.labels[:1]) for sample in samples if sample.labels[:1] != ("auth",)
        }

    assert lines(samples_of(own_redis)) <= lines(read_once(collector, settings))
    assert values(read_once(collector, settings), _info.ERRORS, err="NOPERM") == []
    errors = [value(read_once(collector, settings), _work.BY_FIELD["total_error_replies"]) for _ in range(2)]
    assert errors[0] == errors[1]
    with (
        redis.Redis.from_url(settings.address()) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.get("any")


def test_what_is_refused_is_left_out_and_not_asked_for_again(own_redis):
    """With +info alone the rest is whole, and the refusals do not become the server's errors each time."""
    settings = user(own_redis, "-@all +info")

    async def scenario(keep: Keep):
        first = await read(collector, settings, keep)
        assert values(first, _answers.SLOWLOG_LENGTH) == []
        assert value(first, _work.BY_FIELD["total_commands_processed"]) >= 1
        return [value(await read(collector, settings, keep), _info.ERRORS, err="NOPERM") for _ in range(3)]

    assert len(set(with_keep(scenario))) == 1


def test_a_right_that_is_granted_later_is_found(own_redis):
    """Ten minutes after a refusal it is asked again."""
    settings = user(own_redis, "-@all +info")
    now = 0.0

    async def scenario(keep: Keep):
        connected = await _session.Session.connect(settings.address(), 5)
        session = await keep.open("one", lambda: _ready(connected), _session.Session.close)
        session._clock = lambda: now
        return [await _slow_log(session, granted) for granted in (False, True, True)]

    async def _slow_log(session, granted: bool) -> bool:
        nonlocal now
        if granted:
            user(own_redis, RIGHTS)
            now += 400
        answers = await session.ask(_answers.plan)
        return isinstance(answers.get(_answers.SLOWLOG_LEN), int)

    assert with_keep(scenario) == [False, False, True]


async def _ready(thing):
    return thing


def test_without_info_the_advice_names_the_right(own_redis):
    """INFO is the one right that nothing goes without."""
    error = failure(collector, user(own_redis, "-@all +ping"))
    assert reason(error) == "permission"
    assert "+info" in advice(error)


def test_a_failover_is_seen_from_all_sides(start_redis, start_sentinel):
    """The replica loses its master, the Sentinel takes the replica, and both say so."""
    master = start_redis("repl-diskless-sync-delay 0")
    replica = start_redis(
        f"masterauth {master.password}",
        f"requirepass {master.password}",
        f"replicaof 127.0.0.1 {master.port}",
    )
    replica.password = master.password
    sentinel = start_sentinel(master)
    here, there = f"127.0.0.1:{master.port}", f"127.0.0.1:{replica.port}"

    def replicated():
        return values(samples_of(replica), _info.MASTER_LINK_UP) == [1]

    def watched():
        samples = samples_of(sentinel)
        return values(samples, _answers.OK_SLAVES, master_address=here) == [1] and samples

    wait_for(replicated)
    samples = wait_for(watched)
    assert value(samples, _info.SENTINEL_STATUS, master_name="main", master_status="ok") == 1
    assert value(samples, _answers.OK_SENTINELS, master_address=here) == 1
    assert values(samples, _answers.CKQUORUM, master_name="main") == [1]
    assert value(samples, _info.INSTANCE, redis_mode="sentinel") == 1
    assert values(samples, _info.DB_KEYS) == []
    with redis.Redis.from_url(sentinel.url) as client:
        client.execute_command("ACL", "SETUSER", "mon", "on", f">{SECRET}", *SENTINEL_RIGHTS.split())
    few = read_once(collector, collector.Settings(url=f"redis://mon:{SECRET}@127.0.0.1:{sentinel.port}"))
    assert {sample.metric.name for sample in samples} == {sample.metric.name for sample in few}

    master.kill()

    def alone():
        samples = samples_of(replica)
        return values(samples, _info.MASTER_LINK_UP) == [0] or values(samples, _info.INSTANCE, role="master")

    def taken():
        samples = samples_of(sentinel)
        return values(samples, _info.SENTINEL_STATUS, master_address=there, master_status="ok") == [1]

    wait_for(alone)
    wait_for(taken, seconds=30)
    samples = samples_of(replica)
    assert value(samples, _info.INSTANCE, role="master") == 1
    assert values(samples, _info.MASTER_LINK_UP) == []


def test_a_lost_node_is_seen_by_the_rest_of_the_cluster(start_redis):
    """Slots without a node make the cluster fail, and each node that is left says how many they are."""
    options = ("cluster-enabled yes", "cluster-node-timeout 500")
    nodes = [start_redis(*options, port=cluster_port()) for _ in range(3)]
    join(nodes)

    def cluster(**expected: float):
        def so():
            samples = samples_of(nodes[0])
            said = {name: value(samples, _work.CLUSTER[f"cluster_{name}"]) for name in expected}
            return said == expected

        wait_for(so, seconds=30, message=str(expected))

    cluster(state=1, known_nodes=3, size=3, slots_ok=16384)
    nodes[2].kill()
    cluster(state=0, known_nodes=3, slots_ok=16384 - 5462, slots_fail=5462)


def test_a_server_that_loads_its_data_is_up_and_says_so(start_redis, redis_server):
    """While it loads it serves nobody, but INFO tells how it is."""
    with redis.Redis.from_url(redis_server.url) as client:
        if int(client.info("server")["redis_version"].partition(".")[0]) < 7:
            pytest.skip("before Redis 7 a server cannot be told to load slowly")
    server = start_redis("save 3600 1", "loading-process-events-interval-bytes 1024")
    with redis.Redis.from_url(server.url) as client:
        client.mset({f"key{number}": "x" * 4096 for number in range(200)})
        client.config_set("rdbcompression", "no")
        client.save()
    server.configure("key-load-delay 50000")  # microseconds
    server.restart()
    samples = samples_of(server)
    assert value(samples, collector._fields.BY_FIELD["loading"]) == 1
    server.kill()


def test_a_socket_in_the_file_system_is_as_good(start_redis, tmp_path):
    """unix:// reaches a server that listens there."""
    server = start_redis(f"unixsocket {tmp_path / 's'}")
    assert read_once(collector, collector.Settings(url=f"unix://:{server.password}@{tmp_path / 's'}"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_tls_is_spoken_and_a_stranger_refused(start_redis, tmp_path):
    """With the authority's certificate it is read; without it the advice speaks of TLS, not of the server."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    subprocess.run(
        [*command.split(), "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    key.chmod(0o644)
    server = start_redis(
        f"tls-cert-file {certificate}", f"tls-key-file {key}", "tls-auth-clients no", "tls-port 0"
    )
    with redis.Redis.from_url(server.url) as client:
        client.config_set("port", 0)
        client.config_set("tls-port", server.port)
    url = f"rediss://:{server.password}@127.0.0.1:{server.port}"
    assert read_once(collector, collector.Settings(url=f"{url}?ssl_ca_certs={certificate}"))
    error = failure(collector, collector.Settings(url=url))
    assert reason(error) == "down"
    assert "TLS" in advice(error)
    assert reason(failure(collector, collector.Settings(url=server.url))) == "down"
