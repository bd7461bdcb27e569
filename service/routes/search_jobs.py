"""/search-jobs: searches for better solvers, as background jobs."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from search_jobs.spec import JobState

from ..answers import CandidateAnswer, SearchJobAnswer, SearchJobsAnswer
from ..border.context import services_of
from ..border.negotiation import accepted_by, choose
from ..problems import blaming
from ..schemas import NUM_SEEDS, SearchRequest
from ..searching.answers import job_answer, jobs_answer
from ..searching.candidate import NOT_KEPT, Candidate, answer_sample
from ..searching.event_stream import LAST_EVENT_ID, answer_job_events
from ..searching.order import fill_in
from ..server_sent_events import MEDIA_TYPE
from .documentation import BODY_PROBLEMS, Responses, event_stream, picture, problems

router = APIRouter(prefix="/search-jobs", tags=["search jobs"])

MAX_EVENT_NUMBER = 2**31 - 1
MAX_LISTED = 1000
KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[!-~]{1,200}$"  # visible ASCII, as headers carry it unharmed
ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

JobId = Annotated[str, Path(pattern=ID_PATTERN)]

ACCEPTED: Responses = {
    202: {
        "model": SearchJobAnswer,
        "description": "The search is accepted, now or when this key came first",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    **problems(*BODY_PROBLEMS, 404, 409, 503),
}

EVENTS: Responses = {
    200: {
        "description": "The events as they happen, until the job's end",
        "content": {
            MEDIA_TYPE: event_stream(
                "queued", "started", "progress", "result", "stopping", "finished"
            )
        },
    },
    204: {"description": "The job has ended, and nothing came after `Last-Event-ID`"},
    **problems(404, 406, 422, 503),
}

ENDED = problems(404, 409, 413, 415, 422, 503)

SAMPLE: Responses = {
    200: {
        "description": "A picture by the table as it stands",
        "content": {"image/png": picture("The one picture.")},
    },
    **problems(404, 422, 429, 500, 503),
}


@router.post("", response_model=SearchJobAnswer, status_code=202, responses=ACCEPTED)
def start_search(
    body: SearchRequest,
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias=KEY_HEADER,
            pattern=KEY_PATTERN,
            description="The same key with the same body again is answered with the first job.",
        ),
    ] = None,
) -> Response:
    """Search better solvers of a model, one for each step count, in the background.

    What is found is measured, becomes a version under its name and, where it is better than the
    champion by more than the measurement's noise, the champion: requests then get it at once.
    """
    services = services_of(request)
    spec = fill_in(body, services)
    with blaming(KEY_HEADER, idempotency_key):
        job, _ = services.queue.submit(spec, idempotency_key)
    response = _json(job_answer(job), status=202)
    response.headers["Location"] = f"/search-jobs/{job.id}"
    return response


@router.get("", response_model=SearchJobsAnswer, responses=problems(422, 503))
def list_searches(
    request: Request,
    state: Annotated[JobState | None, Query(description="Only jobs that stand so.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="The newest so many.")] = 100,
) -> Response:
    """The searches, newest first."""
    return _json(jobs_answer(services_of(request).queue.jobs(state, limit)))


@router.get("/{job_id}", response_model=SearchJobAnswer, responses=problems(404, 422, 503))
def show_search(job_id: JobId, request: Request) -> Response:
    """One search: its state, its progress and what it has found."""
    with blaming("job_id", job_id):
        return _json(job_answer(services_of(request).queue.get(job_id)))


@router.get("/{job_id}/events", response_class=Response, responses=EVENTS)
async def follow_search(
    job_id: JobId,
    request: Request,
    last_event_id: Annotated[
        int,
        Header(
            alias=LAST_EVENT_ID,
            ge=0,
            le=MAX_EVENT_NUMBER,
            description="The number of the last event that was seen: only later ones are sent.",
        ),
    ] = 0,
) -> Response:
    """What has happened to a search and what happens, as server-sent events.

    The events are `queued`, `started`, `progress`, `result`, `stopping` and `finished`.
    """
    choose(accepted_by(request), (MEDIA_TYPE,))
    with blaming("job_id", job_id):
        return await answer_job_events(request, job_id, last_event_id)


@router.get(
    "/{job_id}/candidate", response_model=CandidateAnswer, responses=problems(404, 422, 503)
)
def show_candidate(job_id: JobId, request: Request) -> Response:
    """The table that a running search would publish if it ended now."""
    with blaming("job_id", job_id):
        candidate = Candidate.of(services_of(request), job_id)
    body = candidate.answer().model_dump_json()
    return Response(body, media_type="application/json", headers=NOT_KEPT)


@router.get("/{job_id}/sample", response_class=Response, responses=SAMPLE)
async def draw_candidate(
    job_id: JobId,
    request: Request,
    class_id: Annotated[int, Query(ge=0, description="What to draw.")] = 0,
    seed: Annotated[int, Query(ge=0, lt=NUM_SEEDS)] = 0,
) -> Response:
    """Draw with the table that a running search would publish if it ended now."""
    with blaming("job_id", job_id):
        return await answer_sample(request, job_id, class_id, seed)


@router.post("/{job_id}/cancel", response_model=SearchJobAnswer, responses=ENDED)
def cancel_search(job_id: JobId, request: Request) -> Response:
    """End a search and throw away what it has not published yet."""
    with blaming("job_id", job_id):
        return _json(job_answer(services_of(request).queue.cancel(job_id)))


@router.post("/{job_id}/stop", response_model=SearchJobAnswer, responses=ENDED)
def stop_search(job_id: JobId, request: Request) -> Response:
    """End a search now and keep the best it has found; one that has nothing yet is cancelled."""
    with blaming("job_id", job_id):
        return _json(job_answer(services_of(request).queue.stop(job_id)))


def _json(answer: SearchJobAnswer | SearchJobsAnswer, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status, media_type="application/json")
