"""What the ERP's data answers to a request, before the front floor adds headers and sends it."""

from dataclasses import dataclass

from deploy.sandbox.content import Drawn


@dataclass(frozen=True)
class Answer:
    """A status and a body, with the two counts that latency and the event log need."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    rows: int = 0
    """Rows of the entity in the body."""
    skipped: int = 0
    """Rows that `$skip` passed over."""
    ids: tuple[str, ...] = ()
    """The ids of a page's rows, in order."""
    drawn: Drawn | None = None
    """What is sent in place of the body: the bytes of a generated file."""
