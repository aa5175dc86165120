"""The OpenAPI document is true: schemathesis throws at every endpoint of the running application what the document
allows and what it forbids, and holds each answer against it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.deadline import until
from tests.process.conftest import Served

pytestmark = pytest.mark.process


CONFIGURATION = """
# 414: an address that is too long to be read to its end is refused as well.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 411, 413, 414, 415, 422, 429, 503]

# No schema can say that one price is below the other, or how many words a text may have.
[[operations]]
include-path-regex = "^/api/(search|suggest)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 422, 503]
"""


def test_every_endpoint_answers_as_the_document_says(served: Served, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/api/openapi.json"]
    command += ["--max-examples", "40", "--seed", "1", "--checks", "all", "--no-color"]
    # A ticket that was given up is no deleted resource: it goes on telling that its holder left.
    command += ["--exclude-checks", "use_after_free"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert served.manage("audit").returncode == 0
    log = "".join(path.read_text() for path in (served.data / "logs").iterdir())
    assert "Traceback" not in log, log[-3000:]


def test_real_tickets_are_answered_as_the_document_says(served: Served) -> None:
    import schemathesis  # slow to import, and needed here only

    document = schemathesis.openapi.from_url(f"{served.url}/api/openapi.json")
    body = json.dumps({"email": "ada@load.test"}).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    with urlopen(Request(f"{served.url}/signup/", body, headers), timeout=30) as response:
        ticket = json.load(response)["ticket"]
    position = document["/api/position/{ticket}"]
    asked = position["GET"].Case(path_parameters={"ticket": ticket})
    until(lambda: asked.call_and_validate().json()["state"] == "invited", "an invitation")
    assert position["DELETE"].Case(path_parameters={"ticket": ticket}).call_and_validate().status_code == 204
    assert asked.call_and_validate().json()["state"] == "left"
    assert document["/api/board"]["GET"].Case().call_and_validate().status_code == 200


def test_a_real_cart_and_a_real_search_answer_as_the_document_says(served: Served) -> None:
    import schemathesis

    assert served.manage("seed_shop", "--products", "20").returncode == 0
    document = schemathesis.openapi.from_url(f"{served.url}/api/openapi.json")
    search = document["/api/search"]["GET"].Case(query={"q": "light slim classic heavy"})
    (first, *_) = until(lambda: search.call_and_validate().json().get("products"), "the search finds something")
    add = document["/shop/cart/add/"]["POST"].Case(
        body={"product": first["slug"], "quantity": 2}, media_type="application/x-www-form-urlencoded"
    )
    added = add.call_and_validate(headers={"Accept": "application/json"})
    assert (added.status_code, added.json()["count"]) == (200, 2)
    cookie = added.headers["set-cookie"][0].partition(";")[0]
    cart = document["/api/cart"]["GET"].Case().call_and_validate(headers={"Cookie": cookie})
    assert cart.json() == added.json()
