"""A `Report` for people: in the terminal, and as one HTML file that loads nothing."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table

from keras_vision.export.report import Report
from keras_vision.files import whole_file

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 0 0 1.5rem } td, th { text-align: left; padding: .2rem 1.2rem .2rem 0 }
tr + tr { border-top: 1px solid #ddd } .bar { background: #c33; height: .7rem; display: inline-block }
.passed { color: #070 } .failed { color: #b00 }
"""


def rows(report: Report) -> dict[str, str]:
    """The report's figures by name, in words."""
    found = {
        "form": report.form,
        "size": f"{report.size / 2**20:.2f} MiB ({report.size / report.float_size:.2f} of float32)",
    }
    if report.max_difference is not None:
        found["difference"] = (
            f"{report.max_difference:.2g} at most, {report.mean_difference:.2g} on average; outputs span "
            f"{report.output_range:.3g}"
        )
    if report.agreement is not None:
        what = f"{report.images} photographs" if report.photographs else f"{report.images} made-up images"
        bound = "" if report.required_agreement is None else f", at least {report.required_agreement:.1%} asked for"
        found["same answer"] = f"{report.agreement:.1%} of {what}{bound}"
    if report.mean_iu is not None:
        found["mean IU against the Keras model"] = f"{report.mean_iu:.1%}"
    for threads, ms in report.latency.items():
        floating = report.float_latency[threads]
        peer = "" if report.form == "float32" else f" ({ms / floating:.2f} of float32's {floating:.1f} ms)"
        found[f"{threads} thread{'s' if threads > 1 else ''}"] = f"{ms:.1f} ms{peer}"
    if report.fastest:
        found["fastest here"] = report.fastest
    found["TensorFlow's own operations"] = ", ".join(report.flex) or "none"
    if report.fully_quantised is not None:
        islands = ", ".join(f"{count} {name}" for name, count in report.islands.items())
        found["fully quantised"] = "yes" if report.fully_quantised else f"no; in floating point: {islands}"
    found["machine"] = report.machine
    return found


def printed(report: Report) -> Group:
    """The report for a rich console."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows(report).items():
        table.add_row(f"[bold]{name}[/]", value)
    if not report.worst_layers:
        return Group(table)
    layers = Table("layer", "error", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, error in report.worst_layers.items():
        layers.add_row(name, f"{error:.1%}")
    return Group(table, layers)


def page(report: Report) -> str:
    """The report as a whole HTML document."""
    state, words = ("passed", "keeps its bound") if report.passed else ("failed", report.failure or "")
    title = html.escape(f"{report.model}: {report.file}")
    parts = [f'<h1>{title}</h1><p class="{state}">{html.escape(words)}</p>', _table(rows(report))]
    if report.worst_layers:
        worst = max(report.worst_layers.values())
        bars = {
            name: f'<span class="bar" style="width: {12 * error / worst:.1f}rem"></span> {error:.1%}'
            for name, error in report.worst_layers.items()
        }
        parts.append("<h2>Layers furthest from the float32 file</h2>" + _table(bars, escaped=True))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def write_report(report: Report, path: str | os.PathLike, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Writes `<path>.report.json` and `<path>.report.html` and returns where.

    Raises:
        KerasVisionError: one of them exists, or cannot be written.
    """
    files = Path(f"{os.fspath(path)}.report.json"), Path(f"{os.fspath(path)}.report.html")
    for file, text in zip(files, (report.to_json(), page(report)), strict=True):
        with whole_file(file, overwrite) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return files


def show(report: Report, console: Console | None = None) -> None:
    """Prints the report."""
    (console or Console()).print(printed(report))


def _table(values: Mapping[str, str], escaped: bool = False) -> str:
    cells = (
        f"<tr><th>{html.escape(k)}</th><td>{v if escaped else html.escape(v)}</td></tr>" for k, v in values.items()
    )
    return f"<table>{''.join(cells)}</table>"
