"""Write bundled_models/glyphs/NOTICE.md: which fonts the data came from, and on what terms."""

import re
import subprocess
from collections import Counter
from pathlib import Path

from diffusion_core.files import write_atomically

from .fonts import HELD_OUT_PACKAGES
from .glyphs import GlyphMasks, load_masks
from .paths import BUNDLE, MASKS

# Licences of the fonts themselves where the copyright file is prose, or lists several works.
PLAIN_LICENCES = {
    "fonts-averia-sans-gwf": "OFL-1.1",
    "fonts-averia-serif-gwf": "OFL-1.1",
    "fonts-b612": "OFL-1.1",
    "fonts-century-catalogue": "OFL-1.0",
    "fonts-freefont-otf": "GPL-3+ with font exception",
    "fonts-humor-sans": "OFL-1.1",
    "fonts-inconsolata": "OFL-1.0",
    "fonts-jura": "OFL-1.1",
    "fonts-oldstandard": "OFL-1.0",
    "fonts-play": "OFL-1.1",
    "fonts-texgyre": "GUST Font License",
    "fonts-tlwg-purisa-ttf": "GPL-2+ with font exception",
    "fonts-tlwg-sawasdee-ttf": "GPL-2+ with font exception",
    "fonts-tomsontalks": "OFL-1.1",
}

HEADER = """# Notice for the bundled model "glyphs"

The weights (`model.safetensors`, `judge.safetensors`, `critic.safetensors`), the statistics
(`statistics.safetensors`, `critic-statistics.safetensors`) and the judge's features of 4,000
renderings (`reference-features.safetensors`) were made for fewstep by `python -m training` and
carry the licence of fewstep (MIT, see LICENSE). They hold no font and no part of a font program.

The data are renderings of the digits 0 to 9 and the capitals A to Z at 32x32 pixels: each glyph
fitted to a box, turned by up to 8 degrees, scaled, shifted, and coloured on a shaded background.
They were drawn from the fonts of the Debian packages below, all from Debian's `main` section and
installed unchanged; no font file is distributed with fewstep. Packages marked "held out" were used
only to measure: neither the generator nor the judge nor the critic was trained on them, and no
renderings of them are in the statistics or among the features.

| package | version | fonts used | licence of the fonts | |
|---|---|---|---|---|
"""


def write_notice() -> None:
    write_atomically((HEADER + table(load_masks(MASKS))).encode(), BUNDLE / "NOTICE.md")


def table(masks: GlyphMasks) -> str:
    """One line for each package, in alphabetical order."""
    used = Counter(font.split("/")[0] for font in masks.fonts)
    lines = []
    for package in sorted(used):
        role = "held out" if package in HELD_OUT_PACKAGES else ""
        cells = (package, version(package), str(used[package]), licence(package), role)
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def version(package: str) -> str:
    query = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout


def licence(package: str) -> str:
    """What the package's copyright file says of `Files: *`, its upstream part."""
    if package in PLAIN_LICENCES:
        return PLAIN_LICENCES[package]
    text = Path(f"/usr/share/doc/{package}/copyright").read_text("utf-8")
    stanza = re.search(r"^Files: +\*.*?^License: *(.+?)$", text, re.MULTILINE | re.DOTALL)
    if stanza is None:
        raise RuntimeError(f"{package}: no licence of `Files: *`; name it in PLAIN_LICENCES")
    name = stanza.group(1).removeprefix("SIL-")
    return re.sub(r"\+(FE|FontException)", "+ with font exception", name)
