"""The result as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Figure, shown

PEERS = ("litserve", "azureml", "mosec")


def markdown(result: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """The table with bars, then the other figures, then where they come from."""
    judged = [f for f in figures if f.bar is not None]
    others = [f for f in figures if f.bar is None]
    parts = [_where(result)]
    if judged:
        head = "| What | Median | Spread | Bar | Met |\n|---|---:|---|---|---|"
        parts.append("\n".join([head, *(f"{_row(f)} {f.bar} | {'yes' if f.met else '**no**'} |" for f in judged)]))
    if others:
        parts.append("\n".join(["| What | Median | Spread |\n|---|---:|---|", *map(_row, others)]))
    missing = result["failed"] | result["skipped"]
    parts += [f"Not measured: {name}: {reason}" for name, reason in missing.items()]
    return "\n\n".join(parts) + "\n"


def _where(result: Mapping[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    state = " with changes" if result["dirty"] else ""
    gpu = f" {machine['gpu']}," if machine["gpu"] else ""
    names = ("scikit-learn", "torch", *PEERS)
    others = [f"{name} {versions[name]}" for name in names if versions[name]]
    wrk = versions["wrk"].partition(" [")[0]
    software = [versions["r"], versions["blas"], f"Python {versions['python']}", *others, wrk]
    return (
        f"{result['date'][:10]}, commit {result['commit']}{state}; {machine['cpu']}, {machine['cores']} cores,{gpu} "
        f"{machine['memory_gib']:g} GiB, load generator included; {', '.join(filter(None, software))}."
    )


def _row(figure: Figure) -> str:
    low, high = min(figure.samples), max(figure.samples)
    spread = f"{shown(low)} to {shown(high)} ({len(figure.samples)})" if len(figure.samples) > 1 else ""
    unit = figure.unit if figure.unit == "x" else f" {figure.unit}"
    return f"| {figure.name} | {shown(figure.value)}{unit} | {spread} |"
