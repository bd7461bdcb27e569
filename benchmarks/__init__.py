"""Where the figures come from: `./run bench NAME` measures and keeps what it saw."""
