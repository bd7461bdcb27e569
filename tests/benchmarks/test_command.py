import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize("arguments", [[], ["nothing"]])
def test_an_unknown_benchmark_gets_the_list(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "serving" in capsys.readouterr().err


def test_an_unknown_figure_gets_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serving", "--only", "speed"])

    assert "head-of-line" in capsys.readouterr().err
