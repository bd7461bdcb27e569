"""What can go wrong with a search.

SearchError
├── JobNotFound     no job of this id
├── NoCandidate    the search has no table to look at: it has not begun, or has ended
├── JobFinished     it cannot be cancelled or stopped any more
├── KeyReused       an idempotency key that came with another request before
├── LeaseLost       never public: another worker has taken the job over
├── JobCancelled    never public: ends the work on a cancelled job
├── SearchDiverged  the loss is no longer finite
├── SearchRefused   a search that this model cannot make
└── BrokerUnavailable  no Redis can be reached or started
"""


class SearchError(Exception):
    """Root of this package's errors."""


class JobNotFound(SearchError):
    """No job of this id."""


class NoCandidate(SearchError):
    """The search has no table to look at: it has not begun to descend, or has ended."""


class JobFinished(SearchError):
    """The job has ended: there is nothing to cancel or to stop."""


class KeyReused(SearchError):
    """The idempotency key came with another request before."""


class LeaseLost(SearchError):
    """Another worker has taken the job over: nothing more may be written for it."""


class JobCancelled(SearchError):
    """The job was cancelled."""


class SearchDiverged(SearchError):
    """The loss is no longer finite."""


class SearchRefused(SearchError):
    """A search that this model cannot make: no judge for the objective, or no such schedule."""


class BrokerUnavailable(SearchError):
    """No Redis can be reached or started."""
