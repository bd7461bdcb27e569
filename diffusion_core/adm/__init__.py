"""How papers on ImageNet judge samples: as ADM's evaluator does.

eyes        the Inception network with the numbers of a file, and what it sees of pictures
figures     FID, sFID, Inception score, precision and recall
reference   the evaluator's files of real pictures
"""

from .eyes import load_inception, read_pictures
from .figures import InceptionQuality, InceptionReference, inception_quality, inception_score
from .reference import AdmReference

__all__ = [
    "AdmReference",
    "InceptionQuality",
    "InceptionReference",
    "inception_quality",
    "inception_score",
    "load_inception",
    "read_pictures",
]
