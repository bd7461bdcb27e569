"""What can go wrong while serving, and the HTTP status of every public error.

ServiceError
├── BodyUnreadable      the body is not JSON
├── KeyMissing          no API key, or a wrong one
├── NotAcceptable       none of the media types that the client accepts can be given
├── BodyTooLarge        the body is longer than MAX_BODY_BYTES
├── ContentTypeUnknown  the body is not announced as JSON
├── FieldRefused        a field of the request that breaks a rule; the cause has the status
├── QueueFull           with the seconds after which to try again
├── RequestTooLarge     more work than a queue could ever hold
├── DeadlineMissed      the deadline passed before the images were done
├── ImageFailed         this image alone: its sampling diverges
├── OutOfMemory         the newest images were given up so that the others go on
├── DeterminismRefused  the rows of a deterministic forward are more than memory has room for
├── EngineFault         a step failed for a reason that nobody foresaw
├── NotReady            nothing came through lately, not even a probe forward
├── DeviceBroken        the device is lost to this process: a new one is needed
├── Draining            the server is stopping
├── NotResident         the model is at hand, but not loaded
├── SettingInvalid      never public: a setting that cannot be used ends the start
└── Cancelled           the client is gone: nobody reads this, but the figures count it

The statuses, of these and of the other packages' errors, are in STATUSES below.
"""

from diffusion_core import errors as diffusion
from search_jobs import errors as search
from solver_store import errors as store


class ServiceError(Exception):
    """Root of this package's errors."""


class BodyUnreadable(ServiceError):
    """The body is not JSON."""


class KeyMissing(ServiceError):
    """No API key, or a wrong one."""


class NotAcceptable(ServiceError):
    """None of the media types that the client accepts can be given."""


class BodyTooLarge(ServiceError):
    """The body is longer than the service reads."""


class ContentTypeUnknown(ServiceError):
    """The body is not announced as JSON."""


class FieldRefused(ServiceError):
    """A field of the request that breaks a rule; `cause` is the error of whoever knows the rule."""

    def __init__(self, field: str, rule: str, value: object, cause: Exception | None = None):
        super().__init__(rule)
        self.field = field
        self.rule = rule
        self.value = value
        self.cause = cause


class QueueFull(ServiceError):
    """A model's queue is bounded in network rows times remaining steps, and it is full."""

    def __init__(self, message: str, retry_after_s: float):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestTooLarge(ServiceError):
    """More work than a model's queue could ever hold."""


class DeadlineMissed(ServiceError):
    """The deadline passed before the images were done."""


class ImageFailed(ServiceError):
    """This image's values are no longer finite: its sampling diverges."""


class OutOfMemory(ServiceError):
    """The device's memory ran out; the newest images were given up."""


class DeterminismRefused(ServiceError):
    """The rows of a deterministic forward are fixed, and more than memory has room for."""


class EngineFault(ServiceError):
    """A step failed for a reason that nobody foresaw."""


class NotReady(ServiceError):
    """No forward and no decoding came through lately, nor did a probe forward."""


class DeviceBroken(ServiceError):
    """The device answers this process with errors alone; a new one can use it again."""


class Draining(ServiceError):
    """The server is stopping and takes no new requests."""


class NotResident(ServiceError):
    """The model is at hand, but not loaded: PUT /models/{name}/residency loads it."""


class SettingInvalid(ServiceError):
    """A setting that cannot be used; the message is one line that names it."""


class Cancelled(ServiceError):
    """The client is gone; nobody reads this."""


# Looked up along the class hierarchy, so that a family may share one status.
STATUSES: dict[type[Exception], int] = {
    BodyUnreadable: 400,
    KeyMissing: 401,
    NotAcceptable: 406,
    BodyTooLarge: 413,
    ContentTypeUnknown: 415,
    FieldRefused: 422,  # where no cause says otherwise
    QueueFull: 429,
    RequestTooLarge: 422,
    DeadlineMissed: 504,
    ImageFailed: 422,  # what was asked for cannot be drawn, however often it is asked
    OutOfMemory: 503,
    DeterminismRefused: 507,
    EngineFault: 500,
    NotReady: 503,
    DeviceBroken: 503,
    Draining: 503,
    NotResident: 409,
    Cancelled: 499,  # by custom; no answer is sent
    diffusion.TableMismatch: 422,
    diffusion.SolverUnknown: 404,
    diffusion.ModelNotFound: 404,
    diffusion.ClassNotFound: 422,
    diffusion.ModelInvalid: 422,  # a folder that was added by hand and asked to be loaded
    diffusion.ModelTooLarge: 507,
    diffusion.ModelExists: 409,
    diffusion.FamilyUnknown: 422,
    search.JobNotFound: 404,
    search.NoCandidate: 404,
    search.JobFinished: 409,
    search.KeyReused: 409,
    search.SearchRefused: 422,
    search.BrokerUnavailable: 503,
    store.TableError: 422,
    store.RecordError: 422,
    store.InvalidReference: 422,
    store.NameMismatch: 409,
    store.VersionNotFound: 404,
    store.PromotionConflict: 409,
    store.StoreUnavailable: 503,
    store.StoreDamaged: 500,
}

# No client ever reads them: these end a start …
NEVER_PUBLIC: frozenset[type[Exception]] = frozenset({SettingInvalid}) | {
    # … and these end a search, in the worker's process.
    search.LeaseLost,
    search.JobCancelled,
    search.SearchDiverged,
}


def status_of(error: Exception) -> int:
    """The HTTP status of an error; 500 for one that nobody foresaw."""
    if isinstance(error, FieldRefused) and error.cause is not None:
        return status_of(error.cause)
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
