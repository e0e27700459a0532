"""easy-acumatica as its manual has it: ``get_list`` page by page, ``get_by_keys.batch`` in a ``BatchCall``.

At its start it wants the endpoint's ``swagger.json``, megabytes that the sandbox does not serve; so it finds, in the
cache of schemas that is its own, one with the two operations that are used. Without ``per_second`` it keeps to its
own ten calls a second.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from easy_acumatica import AcumaticaClient, BatchCall
from easy_acumatica.odata import QueryOptions
from easy_acumatica.service_factory import to_snake_case

from tests.benchmarks.bench.programs import protocol

Told = dict[str, Any]


def main() -> None:
    """Read the list that the bench asks for, as a whole or by key."""
    told = protocol.told()
    _keep_schema(told)
    # It prints and logs that there are no generic inquiries here.
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()), _client(told) as client:
        service = getattr(client, to_snake_case(told["entity"]))
        protocol.begin()
        with protocol.records_file(told["to"]) as file:
            records = _by_key(service, told) if told["sessions"] else _pages(service, told)
            file.writelines(json.dumps(record) + "\n" for record in records)
        protocol.done()
    protocol.saved()


def _client(told: Told) -> Any:
    throttle = {} if told["per_second"] is None else {"rate_limit_calls_per_second": told["per_second"]}
    return AcumaticaClient(
        base_url=told["url"],
        username=told["username"],
        password=told["password"],
        tenant=told["tenant"],
        endpoint_version=told["version"],
        cache_methods=True,
        cache_dir=Path(told["cache"]),
        **throttle,
    )


def _pages(service: Any, told: Told) -> Iterator[Any]:
    size, skip = told["page_size"], 0
    while True:
        options = QueryOptions(expand=told["expand"].split(","), top=size, skip=skip)
        page = service.get_list(options=options)
        yield from page
        skip += size
        if len(page) < size:
            return


def _by_key(service: Any, told: Told) -> Sequence[Any]:
    size, names = told["page_size"], told["keys"]
    keys: list[dict[str, str]] = []
    while len(keys) < told["limit"]:
        page = service.get_list(options=QueryOptions(select=names, top=size, skip=len(keys)))
        keys += [{name: row[name]["value"] for name in names} for row in page]
    options = QueryOptions(expand=told["expand"].split(","))
    calls = [service.get_by_keys.batch(options=options, **key) for key in keys[: told["limit"]]]
    records: Sequence[Any] = BatchCall(
        *calls, max_concurrent=told["sessions"], return_exceptions=False
    ).execute()
    return records


def _keep_schema(told: Told) -> None:
    """Put a schema where the client has left its own after an earlier start."""
    entity = told["entity"]
    answer = {"responses": {"200": {}}, "tags": [entity]}
    paths = {
        f"/{entity}": {"get": {"operationId": f"{entity}_GetList", **answer}},
        f"/{entity}/{{keys}}": {"get": {"operationId": f"{entity}_GetByKeys", **answer}},
    }
    name = "|".join((told["url"], told["tenant"], "Default", told["version"]))
    mark = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    path = Path(told["cache"]) / f"{mark}.schema.json.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump({"paths": paths, "components": {"schemas": {}}}, file)


if __name__ == "__main__":
    main()
