"""The commands beside `serve`: most ask a server, `evaluate` and parts of `models` need none."""
