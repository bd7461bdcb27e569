"""`fewstep`, whose published families are those that tests can afford."""

import sys

from diffusion_core.families import FAMILIES
from service.cli import main
from tests.diffusion_core.conversion.small import small

if __name__ == "__main__":
    FAMILIES.update({name: small(name) for name in FAMILIES})
    sys.exit(main())
