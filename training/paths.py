"""Where training keeps its work, and where the shipped files go."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("FEWSTEP_HOME", ROOT / "var")) / "training"
MASKS = WORK / "glyph-masks.safetensors"
BUNDLE = ROOT / "bundled_models" / "glyphs"
FIGURES = ROOT / "benchmarks" / "results" / "glyphs-quality.json"
