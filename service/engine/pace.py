"""How quick a model's steps are lately."""

MEMORY = 0.95  # how much of what is known a new measurement leaves


class Lately:
    """A figure that is measured again and again: a guess, until it is measured once."""

    def __init__(self, guess: float):
        self.value = guess
        self._is_guess = True

    def note(self, measured: float) -> None:
        if self._is_guess:
            self.value, self._is_guess = measured, False
        else:
            self.value += (1 - MEMORY) * (measured - self.value)


class Pace:
    """Of one model: network rows and seconds of a step, with the decoding that falls to it."""

    def __init__(self, seconds_per_row: float):
        """seconds_per_row: a guess, until the first step."""
        self.rows_per_step = Lately(1.0)
        self.seconds_per_step = Lately(seconds_per_row)
        self._decoding_s = 0.0  # since the last step

    def note_step(self, rows: int, duration_s: float) -> None:
        self.rows_per_step.note(rows)
        self.seconds_per_step.note(duration_s + self._decoding_s)
        self._decoding_s = 0.0

    def note_decoding(self, duration_s: float) -> None:
        self._decoding_s += duration_s
