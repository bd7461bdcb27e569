"""A table becomes figures: samples of several tables from the same noises, measured alike.

    Subject, Contenders, EvaluationPlan -> evaluate -> Measurement -> Evidence
                                    the converged solution ^

Everything measured is kept on disk by what it depends on, so that a job that was cut off does not
measure twice and the next one finds the rivals measured already.
"""

from diffusion_core.quality import Estimate

from .contenders import (
    Contender,
    classical_contenders,
    fits,
    published_contenders,
    stored_contenders,
)
from .evaluation import Evaluation, evaluate
from .evidence import evidence_of
from .measurement import Measurement, Metric
from .meter import Meter, Tell
from .plan import EVALUATION_SEEDS_FROM, EvaluationPlan
from .reference import Converged, Reference, most_evaluations
from .subject import Subject

__all__ = [
    "EVALUATION_SEEDS_FROM",
    "Contender",
    "Converged",
    "Estimate",
    "Evaluation",
    "EvaluationPlan",
    "Measurement",
    "Meter",
    "Metric",
    "Reference",
    "Subject",
    "Tell",
    "classical_contenders",
    "evaluate",
    "evidence_of",
    "fits",
    "most_evaluations",
    "published_contenders",
    "stored_contenders",
]
