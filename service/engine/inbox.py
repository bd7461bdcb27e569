"""What other threads want of the engine's: it is done there, between two steps."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from queue import Empty, SimpleQueue
from typing import TypeVar

from ..errors import Draining

Command = Callable[[], None]
T = TypeVar("T")

ALIVE_CHECK_S = 1.0  # how often whoever waits for the engine looks whether it is still there


class Inbox:
    """Commands from any thread, in the order in which they came."""

    def __init__(self, reader: threading.Thread):
        """reader: the thread that obeys."""
        self._reader = reader
        self._commands: SimpleQueue[Command] = SimpleQueue()

    @property
    def is_empty(self) -> bool:
        return self._commands.empty()

    def put(self, command: Command) -> None:
        self._commands.put(command)

    def ask(self, question: Callable[[], T]) -> T:
        """What the reader says to it. Raises what the question raises, and Draining."""
        answer: Future[T] = Future()

        def command() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # not ours to judge: whoever asked gets it
                answer.set_exception(error)

        self.put(command)
        return self.wait(answer)

    def wait(self, answer: Future[T]) -> T:
        """Raises Draining where the reader ends before it has answered."""
        while not wait_for([answer], timeout=ALIVE_CHECK_S).done:
            if not self._reader.is_alive():
                raise Draining("the server is stopping")
        return answer.result()

    def obey_next(self) -> None:
        """The oldest; waits for one."""
        self._commands.get()()

    def obey_all(self) -> None:
        """Those that are there; waits for none."""
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            command()
