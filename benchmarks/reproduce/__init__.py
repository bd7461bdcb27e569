"""`./run bench reproduce`: the published figures again, from published weights.

rows          what was published: model, tables, guidance, figures
recipe        all that an image follows from
models        the checkpoint that is given becomes a model
solvers       a published table, a file or a classical solver
sampling      seeds and classes -> images
chunks        work that is kept piece by piece, so that a killed run goes on
filling       the pieces that are missing, made by one process or many
archive       all images in one .npz, for other evaluators
measuring     images -> FID, sFID, Inception score, precision, recall
reproduction  all of it in order
"""

from .command import main

__all__ = ["main"]
