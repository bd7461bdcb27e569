"""What the bundled model says of itself and of its data."""

from training.notice import HEADER
from training.paths import BUNDLE

NOTICE = BUNDLE / "NOTICE.md"


def test_the_notice_that_ships_is_the_one_that_is_written() -> None:
    assert NOTICE.read_text("utf-8").startswith(HEADER)


def test_the_notice_speaks_of_every_file_of_numbers() -> None:
    files = sorted(BUNDLE.glob("*.safetensors"))
    assert len(files) >= 6
    for file in files:
        assert f"`{file.name}`" in HEADER
