"""For every test: one torch thread. Tiny tensors gain nothing from more, and results repeat."""

from collections.abc import Iterator

import pytest
import torch

from tests.servers.postgresql import PostgresServer, running_postgresql

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    with running_postgresql() as server:
        yield server
