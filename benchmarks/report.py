"""Tables that read well in a terminal and in a README, and the same rows as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

Row = Mapping[str, object]


def machine() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} {platform.machine()} cores, Python {platform.python_version()}"


def table(title: str, rows: Sequence[Row]) -> str:
    """A Markdown table; columns are the first row's."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([_cell(row.get(head)) for head in heads] for row in rows)]
    return f"{title} ({machine()})\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def show(title: str, rows: Sequence[Row], file: Path | None) -> None:
    """Print the table; add it to a JSON file if one is named."""
    print(table(title, rows), flush=True)
    if file is not None:
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        file.write_text(json.dumps([*before, {"title": title, "machine": machine(), "rows": rows}], ensure_ascii=False, indent=1), "utf-8")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
