"""Where things lie, for every package; knows no torch, so that settings are read fast."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
BUNDLED_MODELS = CHECKOUT / "bundled_models"
DEFAULT_HOME = CHECKOUT / "var"  # the data folder: database, models, caches
