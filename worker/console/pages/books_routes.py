"""The routes of statements, uploads and runs: a part of the table `console_routes`."""

from __future__ import annotations

from worker.console.pages import statement_line_page as line
from worker.console.pages import statement_run_page as run
from worker.console.pages import statements_page as statements
from worker.console.pages import upload_page as upload
from worker.console.route_table import ACTING, EVERYBODY, Route

_UPLOAD = "/statements/uploads/{upload}"
_RUN = "/statements/runs/{run}"
_LINE = f"{_RUN}/lines/{{line}}"

BOOKS: tuple[Route, ...] = (
    Route(method="GET", path="/statements", roles=EVERYBODY, handler=statements.show_statements),
    Route(
        method="POST",
        path="/statements",
        roles=ACTING,
        handler=statements.upload_statement,
        max_body=statements.MOST_BYTES,
    ),
    Route(method="GET", path=_UPLOAD, roles=EVERYBODY, handler=upload.show_upload),
    Route(method="POST", path=f"{_UPLOAD}/try", roles=ACTING, handler=upload.try_upload),
    Route(method="POST", path=f"{_UPLOAD}/run", roles=ACTING, handler=upload.run_upload, confirms=True),
    Route(method="GET", path=_RUN, roles=EVERYBODY, handler=run.show_run),
    Route(method="GET", path=f"{_RUN}/report", roles=EVERYBODY, handler=run.show_report),
    Route(method="GET", path=f"{_RUN}/rows.csv", roles=EVERYBODY, handler=run.send_rows),
    Route(method="GET", path=_LINE, roles=EVERYBODY, handler=line.show_line),
    Route(method="POST", path=_LINE, roles=ACTING, handler=line.explain_line),
)
