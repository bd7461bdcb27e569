import pytest

from service.border.negotiation import choose
from service.errors import NotAcceptable

OFFERED = ("application/json", "image/png", "text/event-stream")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("text/*", "text/event-stream"),
        ("image/png, application/json", "application/json"),  # equals: the first offered
        ("image/png;q=0.2, application/json;q=0.1", "image/png"),
        ("application/json;q=0, */*", "image/png"),  # the most precise range decides
        ("*/*;q=0.5, image/png;q=0.4", "application/json"),
        ("image/*;q=1, image/png;q=0.1, */*;q=0.2", "application/json"),
        ("text/html, image/webp, */*;q=0.8", "application/json"),
        ("application/json;charset=utf-8", "application/json"),
        ("image/png ; q=1.0 , application/json ; q=0.5", "image/png"),
        ("image/png;q=2, text/event-stream;q=0.001", "text/event-stream"),  # 2 is no quality
        (",,, image/png ,;", "image/png"),
    ],
)
def test_the_best_liked_type_is_chosen(accept: str, chosen: str) -> None:
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize(
    "accept", ["text/html", "image/png;q=0", "*", "json", "*/*;q=0", ";", "*/png"]
)
def test_what_cannot_be_served_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, image/png, text/event-stream"):
        choose(accept, OFFERED)
