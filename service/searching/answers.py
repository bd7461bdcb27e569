"""A job as its record has it becomes the answer that clients get."""

from typing import Any

from search_jobs.spec import JobEvent, SearchJob, StepResult

from ..answers import SearchJobAnswer, SearchJobsAnswer, SearchResultAnswer


def job_answer(job: SearchJob) -> SearchJobAnswer:
    described = job.model_dump(exclude={"results"})
    return SearchJobAnswer.model_validate(
        described | {"results": [result_answer(result) for result in job.results]}
    )


def jobs_answer(jobs: list[SearchJob]) -> SearchJobsAnswer:
    return SearchJobsAnswer(search_jobs=[job_answer(job) for job in jobs])


def result_answer(result: StepResult) -> SearchResultAnswer:
    described = result.model_dump()
    return SearchResultAnswer.model_validate(
        described | {"evidence": described["evidence"] or None}
    )


def event_data(event: JobEvent) -> dict[str, Any]:
    """What an event says, and when it happened."""
    said = event.data
    if event.kind == "result":
        said = result_answer(StepResult.model_validate(said)).model_dump(mode="json")
    return {**said, "at": event.at.isoformat()}
