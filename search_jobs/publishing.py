"""What a search has found becomes a version, in one transaction of the caller's."""

from sqlalchemy import Connection

from solver_store import writes
from solver_store.errors import PromotionConflict

from .control import StepOutcome
from .spec import FoundSolver, StepResult


def publish_outcome(connection: Connection, outcome: StepOutcome, by: str) -> StepResult:
    """Publish the table with its evidence, and move the aliases that still point where they did.

    by is kept with every move. An alias that somebody else moved in the meantime stays there, and
    the decision says so. Raises InvalidReference, RecordError, NameMismatch.
    """
    published = writes.publish(
        connection, outcome.name, outcome.table, outcome.source, outcome.evidence, outcome.target
    )
    version = published.version
    promoted, decision = [], outcome.decision
    for promotion in outcome.promotions:
        try:
            writes.promote(
                connection,
                version.name,
                promotion.alias,
                version.version,
                expected=promotion.expected,
                by=by,
                note=promotion.note,
            )
        except PromotionConflict as conflict:
            decision += f" It moved meanwhile, so it stays: {conflict}."
        else:
            promoted.append(promotion.alias)
    return StepResult(
        steps=outcome.steps,
        solver=FoundSolver(name=version.name, version=version.version, digest=version.digest),
        promoted=tuple(promoted),
        decision=decision,
        evidence=outcome.evidence[0].as_dict() if outcome.evidence else {},
    )
