"""The records of a list, taken out of the ERP's answer one at a time, as they are looked at.

Decoded at once, a page takes ten times the memory of its text, and half as long again (measured). A list that is cut,
padded or no JSON raises AnswerMalformed as it is opened; what is wrong inside a record does when that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast, overload

import msgspec

from worker.erp import answers
from worker.erp.wire import Answer
from worker.errors import AnswerMalformed
from worker.page import Record

_TEXTS = msgspec.json.Decoder(list[msgspec.Raw])


class Records(Sequence[Record]):
    """Records that are decoded each time they are looked at."""

    def __init__(self, texts: Sequence[msgspec.Raw]) -> None:
        self._texts = texts

    @staticmethod
    def of(answer: Answer) -> Records:
        """Those of a list's answer. Raises AnswerMalformed."""
        try:
            return Records(_TEXTS.decode(answer.body))
        except (ValueError, RecursionError) as error:
            raise AnswerMalformed(f"the ERP's list cannot be read: {answers.clean(str(error))}") from None

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> Record | Records:
        if isinstance(place, slice):
            return Records(self._texts[place])
        return _decoded(self._texts[place])

    def __iter__(self) -> Iterator[Record]:
        return map(_decoded, self._texts)

    def named(self, fields: Sequence[str]) -> list[Record]:
        """These members of each alone, as far as it has them, for a tenth of the time. Raises AnswerMalformed."""
        decoder = _decoder(tuple(fields))
        try:
            found = (msgspec.structs.astuple(decoder.decode(text)) for text in self._texts)
            return [
                {name: value for name, value in zip(fields, values, strict=True) if value is not None}
                for values in found
            ]
        except (ValueError, RecursionError) as error:
            raise AnswerMalformed(
                f"the ERP's list holds more than records: {answers.clean(str(error))}"
            ) from None


def _decoded(text: msgspec.Raw) -> Record:
    return cast(Record, answers.decode(bytes(text)))


@lru_cache(maxsize=256)
def _decoder(fields: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    # A field of the ERP's may be called as no attribute can.
    names = {f"_{number}": field for number, field in enumerate(fields)}
    kind = msgspec.defstruct("Named", [(name, Any, None) for name in names], rename=names)
    return msgspec.json.Decoder(kind, float_hook=Decimal)
