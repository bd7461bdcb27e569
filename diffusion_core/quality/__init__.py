"""How good samples are, and how sure of that one may be.

statistics    moments of features, which add up
frechet       the distance between two sets of features
neighbours    precision and recall: samples among real images, real images among samples
endpoint      the distance from the converged solution of the same noise
jackknife     any of these with its error, and differences of two taken on the same noises
judge         the classifier whose features are compared
"""

from .endpoint import endpoint_rmse, psnr_of, squared_errors
from .frechet import DistanceFrom, frechet_distance, frechet_estimate, symmetric_root
from .jackknife import NUM_GROUPS, Estimate
from .judge import (
    Judge,
    Quality,
    accuracy_interval,
    load_classifier,
    load_judge,
    save_features,
)
from .neighbours import Manifold, precision_estimate, recall_estimate
from .statistics import FeatureStatistics

__all__ = [
    "NUM_GROUPS",
    "DistanceFrom",
    "Estimate",
    "FeatureStatistics",
    "Judge",
    "Manifold",
    "Quality",
    "accuracy_interval",
    "endpoint_rmse",
    "frechet_distance",
    "frechet_estimate",
    "load_classifier",
    "load_judge",
    "precision_estimate",
    "psnr_of",
    "recall_estimate",
    "save_features",
    "squared_errors",
    "symmetric_root",
]
