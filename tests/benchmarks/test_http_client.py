import pytest

from benchmarks.http_client import Answer, parse_answer

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"


def test_an_answer_is_read_when_its_last_byte_is_there() -> None:
    for length in range(len(WHOLE)):
        assert parse_answer(WHOLE[:length]) is None

    assert parse_answer(WHOLE) == Answer(200, b"hello")


def test_an_answer_without_length_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        parse_answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
