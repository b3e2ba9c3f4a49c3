"""tests/bench/document: the page's figures are the results', and nobody's."""

import copy
import glob
import json
import os
import subprocess
import xml.etree.ElementTree as tree

import pytest
from harness.guest import TOP

DOCUMENT = os.path.join(TOP, "tests", "bench", "document")
MARKS = "<!-- figures: by tests/bench/document -->\n", "<!-- end of figures -->\n"


def case(name, ratio, goal, ok, **more):
    return {"name": name, "text": f"what {name} is", "ours": f"{ratio * 10:.1f} MB/s", "theirs": "10.0 MB/s",
            "against": "gdb", "ratio": ratio, "goal": goal, "ok": ok, **more}


def result(qemu, *cases):
    return {"qemu": qemu, "gdb": "13.1", "machine": "m", "processors": 2, "runs": 5, "cases": list(cases)}


OLD = result("7.2.22", case("read", 2.5, ">= 2", True), case("trip", 1.64, "<= 1.5", False), {"name": "kvm", "skipped": "no KVM"})
NEW = result("10.0.13", case("read", 1.9, ">= 2", False), {"name": "trip", "skipped": "no KVM"}, {"name": "kvm", "skipped": "none"})
NEWEST = result("11.1.3", case("read", 40, ">= 2", True), case("trip", 0.5, "<= 1.5", True), {"name": "kvm", "skipped": "no KVM"})


@pytest.fixture
def document(directory):
    """document(results, options) runs it on a page of its own: what it said, and the page."""
    page, chart = os.path.join(directory, "page.md"), os.path.join(directory, "chart.svg")

    def run(results, *options, text="before\n" + "stale\n".join(MARKS) + "after\n"):
        if not os.path.exists(page):
            with open(page, "w", encoding="utf-8") as file:
                file.write(text)
        paths = []
        for i, one in enumerate(results):
            paths.append(os.path.join(directory, f"{i}.json"))
            with open(paths[-1], "w", encoding="utf-8") as file:
                json.dump(one, file)
        done = subprocess.run([DOCUMENT, "--page", page, "--chart", chart, *options, *paths], capture_output=True,
                              text=True, check=False)
        with open(page, encoding="utf-8") as file:
            return done, file.read()

    run.chart = chart
    return run


def test_a_column_for_each_qemu(document):
    done, page = document([NEWEST, OLD, NEW])
    assert done.returncode == 0 and not done.stderr
    assert page.startswith("before\n" + MARKS[0] + "QEMU 7.2.22, 10.0.13 and 11.1.3 with TCG, unix sockets, gdb 13.1, medians of 5 runs")
    assert page.endswith(MARKS[1] + "after\n") and "stale" not in page
    assert [line for line in page.splitlines() if line.startswith(("|", "("))] == [
        "| case | what, against what | goal | 7.2.22 | 10.0.13 | 11.1.3 |",
        "|---|---|---|---|---|---|",
        "| `read` | what read is / gdb | ≥ 2 | 25.0 MB/s / 10.0 MB/s: 2.50 | 19.0 MB/s / 10.0 MB/s: 1.90 **short** | 400.0 MB/s / 10.0 MB/s: 40.00 |",
        "| `trip` | what trip is / gdb | ≤ 1.5 | 16.4 MB/s / 10.0 MB/s: 1.64 **short** | – (1) | 5.0 MB/s / 10.0 MB/s: 0.50 |",
        "| `kvm` |  |  | – (1) | – (2) | – (1) |",
        "(1) no KVM",
        "(2) none",
    ]
    bars = [one for one in tree.parse(document.chart).getroot().iter("{http://www.w3.org/2000/svg}rect")]
    # the ground, and one for each figure: green ones are beyond their goal
    assert [one.get("fill") for one in bars] == ["white", "#1b5e20", "#e53935", "#a5d6a7", "#b71c1c", "#a5d6a7"]


def test_check(document):
    done, page = document([OLD], "--check")
    assert done.returncode == 1 and "is not what the results say" in done.stderr and "stale" in page
    assert document([OLD])[0].returncode == 0 and document([OLD], "--check")[0].returncode == 0
    other = copy.deepcopy(OLD)
    other["cases"][0]["ours"] = "26.0 MB/s"
    assert document([other], "--check")[0].returncode == 1


def changed(**more):
    return {**NEW, **more}


@pytest.mark.parametrize("results, reason", [
    ([OLD, changed(cases=NEW["cases"][:2] + [{"name": "kvm", "failed": "gdb: no"}])], "could not run: kvm"),
    ([OLD, changed(cases=NEW["cases"][:2])], "not of the same cases"),
    ([OLD, changed(runs=1)], "not made alike: runs"),
    ([OLD, OLD], "of one QEMU"),
], ids=["failed", "other-cases", "other-runs", "twice"])
def test_results_that_make_no_page(document, results, reason):
    done, page = document(results)
    assert done.returncode == 1 and reason in done.stderr and "stale" in page and not os.path.exists(document.chart)


def test_a_page_without_marks(document):
    done, page = document([OLD], text="nothing\n")
    assert done.returncode == 1 and "no marks" in done.stderr and page == "nothing\n"


def test_the_page_is_what_was_measured():
    results = sorted(glob.glob(os.path.join(TOP, "docs", "performance", "*.json")))
    if not results:
        pytest.skip("there are no results in docs/performance")
    done = subprocess.run([DOCUMENT, "--check", *results], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
