"""The full report as ``qc report`` last wrote it to the edge's folder.

It is not made here: its charts take seconds of processor time and much memory, which belong to the line. A timer runs
``qc report CONFIG --html <storage.directory>/report.html`` beside the edge.
"""

from pathlib import Path

from starlette.responses import FileResponse, Response

from qc.console.endpoint import Call, Endpoint, Refused

FILE_NAME = "report.html"
URL = "/api/v1/report"
_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""The page carries its own styles and pictures; scripts and everything else stay forbidden."""


class ReportApi:
    """directory: the edge's storage folder."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("GET", URL, self._report, "text/html", "The report that was written last", tag="quality", errors=(404,))]

    def url(self) -> str:
        """Empty while nobody has written a report."""
        return URL if self._path.is_file() else ""

    def _report(self, _call: Call) -> Response:
        if not self._path.is_file():
            raise Refused("not_found", f"no report yet; write one with: qc report CONFIG --html {self._path}")
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        return FileResponse(self._path, media_type="text/html; charset=utf-8", headers=headers)
