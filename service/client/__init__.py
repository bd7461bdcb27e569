"""A typed client of the service, over httpx. Needs no torch.

with Client("http://127.0.0.1:8000") as client:
    answer = client.generate(Order(class_id=7, steps=8))
    Path("seven.png").write_bytes(answer.images[0].png)

    job = client.search(Search(steps=[5, 6, 8]))
    for event in client.follow(job.id):
        print(event)
"""

from .client import DEFAULT_URL, Client
from .errors import (
    AnswerUnreadable,
    ClientError,
    KeyUnsendable,
    NoDefault,
    ProblemError,
    Unreachable,
)
from .images import Done, Event, Lost, Made, Order, Queued, Stepped
from .searches import (
    Finished,
    Found,
    Progressed,
    Search,
    SearchEvent,
    Started,
    Stopping,
    Waiting,
)

__all__ = [
    "DEFAULT_URL",
    "AnswerUnreadable",
    "Client",
    "ClientError",
    "Done",
    "Event",
    "Finished",
    "Found",
    "KeyUnsendable",
    "Lost",
    "Made",
    "NoDefault",
    "Order",
    "ProblemError",
    "Progressed",
    "Queued",
    "Search",
    "SearchEvent",
    "Started",
    "Stepped",
    "Stopping",
    "Unreachable",
    "Waiting",
]
