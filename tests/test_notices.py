"""Licences that ask to be repeated are repeated."""

from pathlib import Path

NOTICES = Path(__file__).parents[1] / "THIRD_PARTY_NOTICES.md"

# The notice of each, and the beginnings of its permission and of its disclaimer.
TEXTS = {
    "MCG-NJU/NeuralSolver": (
        "Copyright (c) 2024 wang shuai",
        "Permission is hereby granted, free of charge, to any person obtaining a copy",
        'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND',
    ),
    "WordNet 3.0": (
        "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.",
        "Permission to use, copy, modify and distribute this software and database",
        'THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS"',
        "The name of Princeton University or Princeton may not be used in advertising",
    ),
}


def test_what_must_be_on_all_copies_is_in_the_notices() -> None:
    _, *sections = NOTICES.read_text("utf-8").split("\n## ")
    found = {
        name: " ".join(text.split()) for name, _, text in (s.partition("\n") for s in sections)
    }
    for name, texts in TEXTS.items():
        assert all(text in found[name] for text in texts), name
