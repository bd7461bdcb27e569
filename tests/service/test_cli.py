"""The `fewstep` command against a real server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from diffusion_core.classic import classical_table
from service.cli import main
from service.client import Client
from service.png import read_provenance
from solver_store.published import published_tables
from tests.service.live import Live

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(server: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSTEP_URL", server.url)
    monkeypatch.chdir(tmp_path)


def failure(capsys: Output, *arguments: str) -> str:
    """The one line that a failing command tells."""
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("fewstep: ")
    return line


def test_a_picture_is_written_with_its_provenance(capsys: Output) -> None:
    assert main(["generate", "3", "--steps", "4", "--solver", "dpmpp-2m", "-o", "d.png"]) == 0
    provenance = read_provenance(Path("d.png").read_bytes())
    assert (provenance.class_name, provenance.solver, provenance.steps) == ("d", "dpmpp-2m", 4)
    told = capsys.readouterr().out
    assert told.startswith(f"d of tiny: dpmpp-2m, 4 steps, guidance 1.5, seed {provenance.seed}")
    assert "d.png" in told


@pytest.mark.parametrize("name", ["b", "B"])
def test_a_class_can_be_named(capsys: Output, name: str) -> None:
    flags = ["--class-name", name, "--seed", "5", "--guidance-scale", "1", "--model", "tiny"]
    assert main(["generate", *flags, "--deterministic", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["class_id"], told["seed"], told["guidance_scale"]) == (1, 5, 1)
    assert told["files"] == ["image.png"]
    assert read_provenance(Path("image.png").read_bytes()).deterministic


def test_a_name_that_several_classes_have_is_refused(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Client.model
    two = {"classes": ["a", "crane", "crane", "d"]}
    monkeypatch.setattr(Client, "model", lambda *given: model(*given).model_copy(update=two))
    told = failure(capsys, "generate", "--class-name", "crane")
    assert "several classes are named 'crane': 1 and 2; say which" in told


def test_several_pictures_come_with_a_contact_sheet() -> None:
    assert main(["generate", "0", "--num-images", "5", "--steps", "2", "-o", "a.png"]) == 0
    names = sorted(path.name for path in Path().iterdir())
    assert names == ["a-0.png", "a-1.png", "a-2.png", "a-3.png", "a-4.png", "a-sheet.png"]
    sheet = Image.open("a-sheet.png")
    assert sheet.size == (3 * 100 + 4, 2 * 100 + 4)  # 8 pixels twelvefold and a gap of 4
    first = Image.open("a-0.png")
    for x in range(8):
        assert sheet.getpixel((4 + 12 * x + 6, 4 + 6)) == first.getpixel((x, 0))


def test_a_suffix_may_be_in_capitals() -> None:
    assert main(["generate", "0", "--num-images", "2", "--steps", "1", "-o", "a.PNG"]) == 0
    for name in ("a-0.PNG", "a-1.PNG", "a-sheet.PNG"):
        with Image.open(name) as picture:
            assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("seven", "must end in .png, got 'seven'"),
        ("seven.txt", "must end in .png, got 'seven.txt'"),
        ("x.jpg", "must end in .png, got 'x.jpg'"),
        ("nonesuch/x.png", "there is no folder "),
        ("folder.png", "must be a file, and 'folder.png' is a folder"),
        (f"{'x' * 300}.png", "File name too long"),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_drawn(
    output: str, told: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "stream", lambda *given: pytest.fail("was drawn"))
    Path("folder.png").mkdir()
    with pytest.raises(SystemExit) as caught:
        main(["generate", "0", "--num-images", "2", "-o", output])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate", "9"], "class_id must lie in [0, 3]"),
        (["generate", "1", "--solver", "nonesuch"], "no solver is named 'nonesuch'"),
        (["generate", "1", "--steps", "0"], "steps: "),
        (["generate"], "say one class"),
        (["generate", "1", "--class-name", "b"], "say one class"),
        (["generate", "--class-name", "z"], "no class is named 'z'; there are a, b, c, d"),
        (["generate", "--class-name", "bb"], "no class is named 'bb'; near it: b"),
        (["generate", "1", "--url", "http://127.0.0.1:1"], "--url or FEWSTEP_URL names another"),
        (["solvers", "show", "nonesuch"], "no solver is named 'nonesuch'; fewstep solvers list"),
        (["solvers", "show", "AB2"], "no solver is named 'AB2'; near it: ab2, "),
        (["solvers", "show", "flowdcn-b-256-5/9"], "versions 1 to 1, not 9"),
        (["solvers", "export", "unipc3", "--steps", "6"], "near it: unipc-3, "),
        (["solvers", "export", "flowdnc-b-256-7"], "near it: flowdcn-b-256-7, "),
        (["solvers", "export", "dit-xl-256"], "is a family; its solvers are dit-xl-256-5"),
        (["solvers", "export", "dit-xl-256", "--steps", "4"], "its solvers are dit-xl-256-5, "),
        (["solvers", "export", "dit-xl-256-5", "--steps", "6"], "takes 5 steps, not 6"),
        (["solvers", "export", "ab2"], "made for a number of steps; say which, as in --steps 6"),
        (["solvers", "export", "ab2/1", "--steps", "6"], "has no versions"),
        (["solvers", "export", "ab2@champion", "--steps", "6"], "has no versions"),
        (["solvers", "show", "dit-xl-256-5@best"], "no best; say which version: dit-xl-256-5/1"),
        (["solvers", "export", "ab2", "--steps", "0"], "steps must lie in 1 to 256"),
        (["solvers", "export", "ab2", "--steps", "6", "--model", "x"], "no model 'x'"),
        (["solvers", "promote", "flowdnc-b-256-7", "1"], "near it: flowdcn-b-256-7, "),
        (["solvers", "show", "flowdcn-b-256-5/x"], "a version is a number"),
        (["solvers", "import", "nonesuch.json"], "nonesuch.json"),
        (["solvers", "promote", "flowdcn-b-256-5", "9"], "not 9"),
        (["solvers", "promote", "flowdcn-b-256-5", "1", "--expected", "2"], "points at version 1"),
        (["serve", "--port", "x"], "--port: "),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_failure_is_one_line(capsys: Output, arguments: list[str], told: str) -> None:
    assert told in failure(capsys, *arguments)


def test_a_key_that_cannot_be_sent_is_one_line(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "fewstep: the API key must be printable ASCII, without spaces around it"
    assert failure(capsys, "jobs", "list", "--api-key", "schlüssel") == told
    monkeypatch.setenv("FEWSTEP_API_KEY", "schlüssel")
    assert failure(capsys, "generate", "0") == told


class OtherPage(BaseHTTPRequestHandler):
    """Something else than our server, which answers whatever it is asked."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>Something else</title>")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def other_page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OtherPage) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("arguments", [["jobs", "list"], ["generate", "0"]], ids=" ".join)
def test_a_page_that_is_not_ours_is_one_line(
    capsys: Output, other_page: str, arguments: list[str]
) -> None:
    told = failure(capsys, *arguments, "--url", other_page)
    assert "not an answer of fewstep" in told
    assert told.endswith("(--url or FEWSTEP_URL names another)")


@pytest.mark.parametrize("arguments", [["list"], ["export", "flowdcn-b-256-5"]], ids=" ".join)
def test_a_reader_that_has_enough_ends_it_quietly(server: Live, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "service.cli", "solvers", *arguments]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.parametrize("arguments", [[], ["paint"], ["generate", "x"], ["solvers"]])
def test_wrong_use_is_told_with_status_2(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: fewstep" in capsys.readouterr().err


def test_an_exported_solver_can_be_imported_promoted_and_used(capsys: Output) -> None:
    assert main(["solvers", "export", "flowdcn-b-256-7", "-o", "seven.json"]) == 0
    exported = json.loads(Path("seven.json").read_text())
    assert exported["digest"] == published("flowdcn-b-256-7")
    assert main(["solvers", "import", "seven.json", "--name", "by-hand", "--note", "a copy"]) == 0
    assert f"by-hand/1 sha256:{exported['digest']}" in capsys.readouterr().out
    assert main(["solvers", "promote", "by-hand", "1", "--note", "try it"]) == 0
    assert capsys.readouterr().out == "by-hand@champion: nothing → 1\n"
    assert main(["generate", "0", "--steps", "7", "--solver", "by-hand"]) == 0
    assert main(["solvers", "show", "by-hand"]) == 0
    capsys.readouterr()
    for name in ("by-hand", "by-hand@champion", "by-hand/1"):
        assert main(["solvers", "export", name]) == 0
        assert json.loads(capsys.readouterr().out)["source"]["note"] == "a copy"


def test_a_classical_solver_is_exported_for_a_number_of_steps(capsys: Output) -> None:
    assert main(["solvers", "export", "unipc-3-lambda", "--steps", "6", "-o", "six.json"]) == 0
    exported = json.loads(Path("six.json").read_text())
    assert exported["digest"] == classical_table("unipc-3-lambda", "rectified-flow", 6).digest
    assert main(["solvers", "import", "six.json"]) == 0
    assert f"unipc-3-lambda-6/1 sha256:{exported['digest']}" in capsys.readouterr().out


def test_one_of_a_family_is_exported_by_its_number_of_steps(capsys: Output) -> None:
    assert main(["solvers", "export", "flowdcn-b-256", "--steps", "15"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "flowdcn-b-256-15"


def test_a_solver_without_a_champion_is_exported_by_version(capsys: Output, server: Live) -> None:
    server.services.store.publish("without-champion", published_tables()[0].table, source={})
    told = failure(capsys, "solvers", "export", "without-champion")
    assert "has no champion; say which version: without-champion/1" in told
    assert main(["solvers", "export", "without-champion/1"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1


def test_a_published_file_can_be_imported(capsys: Output) -> None:
    file = Path(__file__).parents[2] / "solver_store/published/sit-xl-256-8.json"
    assert main(["solvers", "import", str(file), "--name", "from-the-file"]) == 0
    assert published("sit-xl-256-8") in capsys.readouterr().out


def test_a_file_that_is_no_solver_is_told(capsys: Output) -> None:
    Path("no.json").write_text("{")
    assert "is not JSON" in failure(capsys, "solvers", "import", "no.json")
    Path("list.json").write_text("[]")
    assert "must hold a JSON object" in failure(capsys, "solvers", "import", "list.json")
    Path("empty.json").write_text("{}")
    assert "name: Field required" in failure(capsys, "solvers", "import", "empty.json")


def test_the_list_shows_stored_and_classical_solvers(capsys: Output) -> None:
    assert main(["solvers", "list", "--model", "tiny", "--steps", "15"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["flowdcn-b-256-15", "15", "rectified-flow"] for line in lines)
    assert any(line.split()[:3] == ["unipc-3", "any", "any"] for line in lines)


def published(name: str) -> str:
    return next(entry.table.digest for entry in published_tables() if entry.name == name)
