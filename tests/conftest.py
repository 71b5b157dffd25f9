"""What holds for every test: with ``MODELGRID_REQUIRE_ALL=1`` a skipped test is a failed one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.requirements import require_all

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/golden/ anew; review the diff")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn *report* of a skip into one of a failure, with the skip's reason."""
    if not require_all() or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason} (a skip is a failure with MODELGRID_REQUIRE_ALL=1)"


# outermost: pytest's own wrapper around this hook is what turns a raised skip into a report of one
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
