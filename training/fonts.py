"""The Latin fonts that the glyphs are rendered from: which packages, which files, which are fit.

Every font comes from a Debian package named here, so that anyone can install the same set:

    apt-get install $(python -m training packages)
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

FONT_SUFFIXES = {".ttf", ".otf"}

_TRAINING = """
fonts-adf-accanthis fonts-adf-gillius fonts-adf-libris fonts-adf-mekanus fonts-adf-oldania
fonts-adf-romande fonts-adf-universalis fonts-averia-sans-gwf fonts-b612 fonts-bebas-neue
fonts-cantarell fonts-century-catalogue fonts-comfortaa fonts-courier-prime fonts-crosextra-caladea
fonts-crosextra-carlito fonts-dejavu-core fonts-dejavu-extra fonts-dosis fonts-ebgaramond
fonts-fanwood fonts-firacode fonts-freefont-otf fonts-goudybookletter fonts-hack fonts-humor-sans
fonts-inconsolata fonts-junicode fonts-jura fonts-karla fonts-lato fonts-league-spartan
fonts-liberation2 fonts-lindenhill fonts-lobster fonts-lobstertwo fonts-mononoki fonts-noto-core
fonts-oldstandard fonts-open-sans fonts-paratype fonts-play fonts-prociono fonts-quicksand
fonts-roboto-slab fonts-roboto-unhinted fonts-rufscript fonts-sil-andika fonts-sil-gentiumplus
fonts-sora fonts-texgyre fonts-tlwg-purisa-ttf fonts-tlwg-sawasdee-ttf fonts-tomsontalks
fonts-urw-base35 fonts-vollkorn fonts-yanone-kaffeesatz
"""

# Held out by package, so that no weight of a training family is ever "unseen": about a tenth of
# the fonts, with serif, sans, monospaced and hand-drawn faces among them.
_HELD_OUT = """
fonts-averia-serif-gwf fonts-cabin fonts-jetbrains-mono fonts-leckerli-one fonts-linuxlibertine
fonts-oxygen fonts-sil-charis fonts-tuffy
"""

TRAINING_PACKAGES = tuple(_TRAINING.split())
HELD_OUT_PACKAGES = tuple(_HELD_OUT.split())

# Parts of file names: symbols instead of letters, and strokes too thin to read at 32 pixels.
UNFIT_NAMES = ("Symbol", "D050000L", "Math", "Keyboard", "Nushu", "Initials", "Hairline", "Thin")


@dataclass(frozen=True)
class FontFile:
    package: str
    path: Path
    held_out: bool


def find_fonts() -> list[FontFile]:
    """List the font files of every installed package, in an order that every machine shares."""
    found = []
    for package in sorted(TRAINING_PACKAGES + HELD_OUT_PACKAGES):
        for path in package_fonts(package):
            if not any(name in path.name for name in UNFIT_NAMES):
                found.append(FontFile(package, path, package in HELD_OUT_PACKAGES))
    return found


def package_fonts(package: str) -> list[Path]:
    """The font files that one Debian package installed; none where it is absent."""
    listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    paths = (Path(line) for line in listing.stdout.splitlines())
    return sorted(p for p in paths if p.suffix.lower() in FONT_SUFFIXES and not p.is_symlink())
