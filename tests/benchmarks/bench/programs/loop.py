"""The plain loop that anybody writes first: httpx, one page after the other by ``$skip``, until one is short."""

from __future__ import annotations

import json
import ssl
from typing import Any

import httpx

from tests.benchmarks.bench.programs import protocol


def main() -> None:
    """Read the list that the bench asks for."""
    told = protocol.told()
    context = ssl.create_default_context(cafile=told["ca_file"])
    with httpx.Client(verify=context, trust_env=False, timeout=60) as http:
        answer = http.post(f"{told['url']}/identity/connect/token", data=told["form"])
        answer.raise_for_status()
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        protocol.begin()
        _read(http, told)
        protocol.done()
        http.post(f"{told['url']}/entity/auth/logout")
    protocol.saved()


def _read(http: httpx.Client, told: dict[str, Any]) -> None:
    url = f"{told['url']}/{told['endpoint']}/{told['entity']}"
    size = told["page_size"]
    skip = 0
    with protocol.records_file(told["to"]) as file:
        while True:
            asked = {"$expand": told["expand"], "$top": size, "$skip": skip}
            answer = http.get(url, params=asked)
            answer.raise_for_status()
            page = answer.json()
            file.writelines(json.dumps(record) + "\n" for record in page)
            skip += size
            if len(page) < size:
                return


if __name__ == "__main__":
    main()
