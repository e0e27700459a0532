"""The endpoints of a build, made of their files: each sees the tenant's records through fields of its own.

A record is kept once, as a row with the fields of all endpoints together; an endpoint's entity says which of them it
has and where they are in the row.
"""

from collections.abc import Mapping
from types import MappingProxyType

from deploy.sandbox import forms
from deploy.sandbox.builds import BUILDS, Build
from deploy.sandbox.definitions import Definition, merged, read_endpoint
from deploy.sandbox.lazily import Lazily
from deploy.sandbox.schema import DETAIL, LINKED, Contract, Entity, Field, TopLevel

Source = Mapping[str, Definition]


class Schema:
    """The endpoints of a build, and the entities with all fields, by which the tenant keeps its records."""

    def __init__(self, build: Build) -> None:
        sources = [read_endpoint(name, file) for name, _, file in build.endpoints]
        whole = merged(sources)
        self.whole: Mapping[str, TopLevel] = _entities(whole, whole, build)
        self.contracts = tuple(
            Contract(name, version, name not in _VENDORS, _entities(source, whole, build))
            for (name, version, _), source in zip(build.endpoints, sources, strict=True)
        )

    def contract(self, name: str, version: str) -> Contract | None:
        """The endpoint of this name, in any case, and version."""
        for contract in self.contracts:
            if (contract.name.casefold(), contract.version) == (name.casefold(), version):
                return contract
        return None


_VENDORS = frozenset({"Default", "DeviceHub", "eCommerce", "GLConsolidation", "MANUFACTURING", "POS"})


def entity_names() -> list[str]:
    """The names of the entities of all builds, in order."""
    sources = (read_endpoint(name, file) for build in BUILDS.values() for name, _, file in build.endpoints)
    return sorted({name for source in sources for name, found in source.items() if found.screen})


def load_schema(build: Build) -> Mapping[str, TopLevel]:
    """The entities of a build's first endpoint by name."""
    return Schema(build).contracts[0].entities


def _entities(source: Source, whole: Source, build: Build) -> Mapping[str, TopLevel]:
    names = [name for name, definition in source.items() if definition.screen]
    return Lazily(names, lambda name: _Maker(source, whole, build).top_level(name))


class _Maker:
    """Makes the entities of one endpoint, with the places that `whole` gives to their fields."""

    def __init__(self, source: Source, whole: Source, build: Build) -> None:
        self._source = source
        self._whole = whole
        self._build = build

    def top_level(self, name: str) -> TopLevel:
        """A top-level entity and all that is nested in it."""
        definition = self._source[name]
        form = forms.form_of(name, definition.screen, definition.members)
        return TopLevel(
            name,
            self._fields(name, notes=not form.inquiry),
            not form.inquiry,
            forms.custom_of(name, form.view),
            len(self._whole[name].members),
            form,
            definition.actions,
        )

    def _fields(self, owner: str, notes: bool) -> Mapping[str, Field]:
        """The fields of an entity; `notes` is whether rows within it can have any."""
        places = {name: place for place, name in enumerate(self._whole[owner].members)}
        members = self._source[owner].members.items()
        return MappingProxyType(
            {name: self._member(owner, name, places[name], kind, notes) for name, kind in members}
        )

    def _member(self, owner: str, name: str, place: int, type_name: str, notes: bool) -> Field:
        nested_name = type_name.removesuffix("[]")
        if nested_name not in self._source:
            codes = forms.codes_of(owner, name)
            return Field(name, place, type_name, view=forms.second_view(owner, name), codes=codes)
        detail = type_name.endswith("[]")
        view, delegate = forms.view_of(owner, name, nested_name, self._build.history_view)
        has_note = detail and notes and self._has_note(nested_name)
        nested = Entity(
            nested_name,
            self._fields(nested_name, notes),
            has_note,
            forms.custom_on_lines(nested_name, view) if has_note else {},
            len(self._whole[nested_name].members),
        )
        return Field(name, place, DETAIL if detail else LINKED, nested, view, delegate)

    def _has_note(self, detail: str) -> bool:
        """Whether the rows of a detail entity have notes (recorded for the two exceptions; others are taken to)."""
        if detail == forms.HISTORY:
            return self._build.history_has_notes
        return detail != "SalesOrderShipment"
