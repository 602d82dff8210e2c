"""trials.jsonl: a line for every training of a search, whatever became of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.files import append_json_line, read_json_lines, write_bytes
from googlenet_keras.stopwatch import peak_megabytes
from tuning.budget import Costs

TRIALS = "trials.jsonl"
COMPLETED, FAILED, BASELINE = "completed", "failed", "baseline"  # values of "status"
Row = dict[str, Any]


class Ledger:
    """The rows of a search in its folder, each written when its training ends."""

    def __init__(self, folder: Path, costs: Costs, trials: int) -> None:
        self._path, self._costs, self._trials = folder / TRIALS, costs, trials
        self.rows = _whole_lines(self._path)
        self._done_before = len(self._searched())
        self._began = time.monotonic()

    def __contains__(self, trial: str) -> bool:
        return any(row["trial"] == trial for row in self.rows)

    def add(
        self,
        trial: str,
        status: str,
        arch: Architecture,
        results: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Writes a row and prints it; results: what a training gives, if it ended."""
        row = {
            "trial": trial,
            "status": status,
            "architecture": arch.to_json(),
            **self._costs.all_of(arch),
            "top1": None,
            "seconds": None,
            "reason": None,
            **(results or {}),
            **more,
            "search_peak_megabytes": peak_megabytes(),
        }
        append_json_line(self._path, row)
        self.rows.append(row)
        print(self._line(row), flush=True)

    def reasons(self) -> list[str]:
        """Why trials failed, the last reason last."""
        return [row["reason"] for row in self.rows if row["status"] == FAILED]

    def best(self) -> list[Row]:
        """The trials that ended well by main top-1, the best and cheapest first."""
        rows = [row for row in self.rows if row["status"] == COMPLETED]
        return sorted(rows, key=lambda row: (-row["top1"]["main"], row["macs"]))

    def baselines(self) -> list[Row]:
        """The uniform networks that could be trained, narrow ones first."""
        rows = [r for r in self.rows if r["status"] == BASELINE and not r["reason"]]
        return sorted(rows, key=lambda row: row["macs"])

    def _searched(self) -> list[Row]:
        return [row for row in self.rows if row["status"] != BASELINE]

    def _line(self, row: Row) -> str:
        outcome = f"failed: {row['reason']}" if row["reason"] else _figures(row)
        if row["status"] == BASELINE:
            return f"{row['trial']}: {outcome}"
        searched, best = self._searched(), self.best()
        line = f"trial {row['trial']}, {len(searched)} of {self._trials}: {outcome}"
        if best:
            line += f"; best {best[0]['top1']['main']:.4f}"
        left = max(self._trials - len(searched), 0)  # a resumed search may have fewer
        each = (time.monotonic() - self._began) / (len(searched) - self._done_before)
        return line + (f"; about {each * left / 60:.0f} min left" if left else "")


def _figures(row: Row) -> str:
    return (
        f"top-1 {row['top1']['main']:.4f} after {row['epochs']} epochs, "
        f"{row['macs'] / 1e6:.1f} M multiply-adds, {row['megabytes']:.2f} MB, "
        f"{row['milliseconds']:.2f} ms, {row['seconds']:.0f} s"
    )


def _whole_lines(path: Path) -> list[Row]:
    """The rows in `path`; a last line that was cut off by a kill is removed."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_bytes(path, whole.encode())
    return read_json_lines(path)
