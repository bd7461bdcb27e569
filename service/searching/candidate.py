"""What a running search has found so far: its table as it stands, and pictures that it draws."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from diffusion_core.program import compile_program
from search_jobs.errors import NoCandidate
from search_jobs.spec import TERMINAL, SearchJob
from solver_store.table import SolverTable

from ..answers import CandidateAnswer
from ..assembly import Services
from ..border.context import services_of
from ..border.hang_up import unless_hung_up
from ..engine.requests import ImageRequest
from ..engine.stream import gathered
from ..png import encode
from ..problems import blaming
from ..schemas import TableDocument

NOT_KEPT = {"Cache-Control": "no-store"}  # at the next look it is another one


@dataclass(frozen=True)
class Candidate:
    """A table that would be published if the search ended now."""

    job: SearchJob
    table: SolverTable

    @classmethod
    def of(cls, services: Services, job_id: str) -> "Candidate":
        """Raises JobNotFound, NoCandidate."""
        job = services.queue.get(job_id)
        if job.progress.candidate is None or job.state in TERMINAL:
            raise NoCandidate(f"search job {job_id} has no table to look at: it is {job.state}")
        return cls(job, SolverTable.from_dict(job.progress.candidate))

    def answer(self) -> CandidateAnswer:
        progress = self.job.progress
        return CandidateAnswer(
            steps=self.table.nfe,
            iteration=progress.iteration,
            loss=progress.loss,
            digest=self.table.digest,
            table=TableDocument.model_validate(self.table.as_dict()),
        )

    def image_request(self, services: Services, class_id: int, seed: int) -> ImageRequest:
        """Raises FieldRefused for a class that the model does not have."""
        card = services.residency.get(self.job.spec.model).card
        with blaming("class_id", class_id):
            card.class_name(class_id)
        return ImageRequest(
            model=card.name,
            program=compile_program(self.table, card.kind),
            class_label=class_id,
            guidance_scale=self.job.spec.guidance_scale,
            seed=seed,
        )


async def answer_sample(request: Request, job_id: str, class_id: int, seed: int) -> Response:
    """A PNG without provenance: nothing makes it again once the search is further.

    Raises JobNotFound, NoCandidate, FieldRefused, and what may happen to any image.
    """
    services = services_of(request)
    candidate = await asyncio.to_thread(Candidate.of, services, job_id)
    wanted = candidate.image_request(services, class_id, seed)
    with gathered(services.engine, [wanted]) as images:
        done = (await unless_hung_up(request, images))[0]
    headers = NOT_KEPT | {
        "X-Solver-Digest": candidate.table.digest,
        "X-Iteration": str(candidate.job.progress.iteration),
    }
    return Response(encode(done.pixels), headers=headers, media_type="image/png")
