"""What can go wrong while serving, and the HTTP status of every public error.

ServiceError
├── QueueFull           429, with the seconds after which to try again
├── RequestTooLarge     422, more work than the queue could ever hold
├── DeadlineMissed      504
├── ImageFailed         500, this image alone: its state is no longer finite
├── OutOfMemory         503, the newest images were given up so that the others go on
├── EngineFault         500, a step failed for a reason that nobody foresaw
├── Draining            503, the server is stopping
└── Cancelled           never public: the client is gone
"""


class ServiceError(Exception):
    """Root of this package's errors."""


class QueueFull(ServiceError):
    """The queue is bounded in network rows times remaining steps, and it is full."""

    def __init__(self, message: str, retry_after_s: float):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestTooLarge(ServiceError):
    """More work than the queue could ever hold."""


class DeadlineMissed(ServiceError):
    """The deadline passed before the images were done."""


class ImageFailed(ServiceError):
    """This image's state is no longer finite."""


class OutOfMemory(ServiceError):
    """The device's memory ran out; the newest images were given up."""


class EngineFault(ServiceError):
    """A step failed for a reason that nobody foresaw."""


class Draining(ServiceError):
    """The server is stopping and takes no new requests."""


class Cancelled(ServiceError):
    """The client is gone; nobody reads this."""
