"""Which Redis there is: given, found or started, once for each data folder."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from search_jobs import broker as broker_module
from search_jobs.broker import Broker, find_program
from search_jobs.errors import BrokerUnavailable
from tests.search_jobs.processes import ROOT, is_alive
from tests.service.live import wait_until


def client_of(broker: Broker) -> Redis:
    return Redis.from_url(broker.url)


def test_a_given_redis_is_taken_as_it_is(tmp_path: Path) -> None:
    with Broker.open("redis://127.0.0.1:1/0", tmp_path) as broker:
        assert broker.url == "redis://127.0.0.1:1/0"
        broker.tend()
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_cannot_be_read_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match="cannot be read") as refused:
        Broker.open("http://ada:secret@host", tmp_path)
    assert "secret" not in str(refused.value)


def test_nobody_else_can_open_our_own(broker: Broker, tmp_path: Path) -> None:
    with client_of(broker) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}
    socket = Path(broker.url.removeprefix("unix://"))
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert socket.parent == tmp_path / "redis"


def test_what_it_holds_survives_its_death(broker: Broker) -> None:
    with client_of(broker) as client:
        client.config_set("appendfsync", "always")
        client.set("key", "value")
        kill_server(broker)
        broker.tend()
        assert client.get("key") == b"value"


def test_it_runs_once_for_a_data_folder_and_goes_on_with_the_next(tmp_path: Path) -> None:
    first = Broker.open(None, tmp_path)
    with Broker.open(None, tmp_path) as second, client_of(second) as client:
        assert second.url == first.url
        second.tend()
        assert server_pid(second) is None
        assert client.ping()
        first.close()
        second.tend()
        assert server_pid(second) is not None
        assert client.ping()


def test_it_ends_with_its_broker(tmp_path: Path) -> None:
    with Broker.open(None, tmp_path) as broker:
        pid = server_pid(broker)
        assert pid is not None
    assert not is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked for it")
def test_it_ends_with_a_killed_owner(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from search_jobs.broker import Broker\n"
        "broker = Broker.open(None, Path(sys.argv[1]))\n"
        "print(broker._server.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
    wait_until(lambda: not is_alive(pid))
    with Broker.open(None, tmp_path) as broker, client_of(broker) as client:
        assert client.ping()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    with Broker.open(None, home) as broker, Broker.open(None, home) as other:
        assert other.url == broker.url
        socket = Path(broker.url.removeprefix("unix://"))
        assert len(os.fsencode(socket)) <= 100
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        with client_of(other) as client:
            assert client.ping()
    with Broker.open(None, home) as again:
        assert again.url == broker.url  # whoever had connected finds it again
    socket.parent.rmdir()


def test_a_socket_in_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir(mode=0o777)
    others.chmod(0o777)
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "socket-path").write_text(str(others / "redis.sock"))
    with Broker.open(None, tmp_path) as broker:
        assert broker.url == f"unix://{tmp_path}/redis/redis.sock"


def test_a_file_that_cannot_be_read_is_forgotten(tmp_path: Path) -> None:
    with Broker.open(None, tmp_path) as broker, client_of(broker) as client:
        client.set("key", "value")
    for file in (tmp_path / "redis" / "appendonlydir").iterdir():
        file.write_bytes(b"no commands")
    with Broker.open(None, tmp_path) as broker, client_of(broker) as client:
        assert client.get("key") is None


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(BrokerUnavailable, match=r"home/redis"):
        Broker.open(None, tmp_path / "home")


def test_a_server_on_the_path_goes_before_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program().name == "valkey-server"  # the package's
    for name in ("valkey-server", "redis-server"):
        (tmp_path / name).touch(mode=0o755)
        assert find_program() == tmp_path / name


def test_without_any_redis_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(broker_module, "find_spec", lambda name: None)
    with pytest.raises(BrokerUnavailable, match="set FEWSTEP_REDIS_URL"):
        Broker.open(None, tmp_path)


def server_pid(broker: Broker) -> int | None:
    assert broker._server is not None
    return broker._server.pid


def kill_server(broker: Broker) -> None:
    pid = server_pid(broker)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert broker._server is not None
    assert broker._server._process is not None
    broker._server._process.wait()
