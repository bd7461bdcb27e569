"""Where training keeps its work, and where the shipped files go."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("FEWSTEP_HOME", ROOT / "var")) / "training"
MASKS = WORK / "glyph-masks.safetensors"
BUNDLED = ROOT / "bundled_models"
BUNDLE = BUNDLED / "glyphs"  # holds the judge and the critic of all siblings, too
RESULTS = ROOT / "benchmarks" / "results"
