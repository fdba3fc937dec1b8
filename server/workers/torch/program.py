"""Reading model files: `.pt2` as torch.export writes it, `.pt` as TorchScript is saved."""

from __future__ import annotations

import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export.passes import move_to_device_pass

from server.workers.errors import LoadFailed

NEEDS_CUDA = (
    "the model was exported for CUDA, and this machine has no GPU that PyTorch can use; exported on the CPU "
    "(model.cpu() before torch.export.export) it runs on both"
)

AGAIN = "export it again with this version or an older one, from classes of PyTorch alone"
WEIGHTS = (
    "torch.save wrote this file: it holds weights without the program, or a pickled module, whose code lies elsewhere. "
    "Save the program too: torch.export.save(torch.export.export(model.eval(), (example,)), 'NAME.pt2'), and in "
    "MLflow mlflow.pytorch.save_model(..., serialization_format='pt2', input_example=...)"
)
TENSORS = (
    "every argument of the program must be a tensor whose first dimension is rows; export a module whose forward takes "
    "only such, and sets all else itself"
)
ROWS = (
    "the program's arguments differ in their first dimension, which must be rows; give all of them the same "
    "torch.export.Dim in dynamic_shapes"
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One tensor that a program takes, as it is for one row. None in the shape stands for any size."""

    name: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Program:
    """A loaded program. `arguments` is None where the file does not tell (TorchScript).

    `min_rows` and `max_rows` bound the rows of one call; where they are equal, every call has exactly so many.
    """

    module: torch.nn.Module
    kind: str
    arguments: tuple[Argument, ...] | None = None
    min_rows: int = 1
    max_rows: int | None = None


def load(path: str, device: torch.device) -> Program:
    """Read a file onto a device. Raises LoadFailed, with no path in its text."""
    if path.lower().endswith(".pt2"):
        return _exported(path, device)
    return _script(path, device)


def short_reason(error: Exception) -> str:
    """What PyTorch said, short and without anything that looks like a path."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    runtime = [line for line in lines if line.startswith("RuntimeError: ")]  # TorchScript puts its own stack first
    line = runtime[-1].removeprefix("RuntimeError: ") if runtime else next(iter(lines), "it gives no reason")
    return re.sub(r"\S*/\S*/\S*", "…", line)[:300]


def wants_cuda(error: Exception) -> bool:
    """Whether something failed for want of a GPU."""
    return re.search(r"\bCUDA\b|NVIDIA driver", str(error)) is not None and not torch.cuda.is_available()


# torch.export


def _exported(path: str, device: torch.device) -> Program:
    try:
        program = torch.export.load(path)
        if device.type == "cuda" or any(t.device.type == "cuda" for t in program.state_dict.values()):
            program = move_to_device_pass(program, device)
        module = program.module()
    except Exception as e:  # zipfile, json, pickle, torch: each has classes of its own for a bad file
        if device.type == "cpu" and (wants_cuda(e) or _is_for_cuda(path)):
            raise LoadFailed("needs_cuda", NEEDS_CUDA) from e
        raise LoadFailed("unreadable", _exported_cure(path, e)) from e
    arguments, bounds = _arguments(program)
    return Program(module, "ExportedProgram", arguments, *bounds)


def _exported_cure(path: str, error: Exception) -> str:
    names = _names_inside(path) or set()
    if "constants.pkl" in names:
        return "this is a TorchScript file; its name must end in .pt"
    if not names & {"archive_format", "serialized_exported_program.json"}:
        return "this is not a whole .pt2 file; write it with torch.export.save and copy all of it"
    return f"this .pt2 file cannot be read by PyTorch {torch.__version__} ({short_reason(error)}); {AGAIN}"


def _is_for_cuda(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read(name) for name in archive.namelist() if name.endswith(".json")]
    except (zipfile.BadZipFile, OSError):
        return False
    return any(re.search(rb'"type":\s*"cuda"', text) for text in texts)


def _arguments(program: torch.export.ExportedProgram) -> tuple[tuple[Argument, ...], tuple[int, int | None]]:
    if program.call_spec.in_spec is not None and program.call_spec.in_spec.child(1).num_leaves:
        raise LoadFailed("bad_schema", "the program has keyword arguments; export it with positional ones only")
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    values = {name: nodes[name].meta["val"] for name in map(str, program.graph_signature.user_inputs) if name in nodes}
    if not values or any(not isinstance(v, torch.Tensor) or v.dim() == 0 for v in values.values()):
        raise LoadFailed("bad_schema", TENSORS)
    rows = [value.shape[0] for value in values.values()]
    if len(set(map(str, rows))) > 1:
        raise LoadFailed("bad_schema", ROWS)
    arguments = tuple(Argument(name, _shape(value.shape[1:]), value.dtype) for name, value in values.items())
    return arguments, _bounds(program, rows[0])


def _shape(sizes: torch.Size) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in sizes)


def _bounds(program: torch.export.ExportedProgram, rows: Any) -> tuple[int, int | None]:
    if isinstance(rows, int):
        return rows, rows
    known = program.range_constraints.get(rows.node.expr)
    if known is None:
        return 1, None
    upper = int(known.upper) if known.upper.is_finite and known.upper < 2**31 else None
    return max(1, int(known.lower)), upper


def _names_inside(path: str) -> set[str] | None:
    """The names of the files in an archive, without their folders; None if the file is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {Path(name).name for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return None


# TorchScript


def _script(path: str, device: torch.device) -> Program:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript itself
            module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
    except Exception as e:  # as above
        if device.type == "cpu" and wants_cuda(e):
            raise LoadFailed("needs_cuda", NEEDS_CUDA) from e
        raise LoadFailed("unreadable", _script_cure(path, e)) from e
    module.eval()
    return Program(module, f"ScriptModule {module.original_name}")


def _script_cure(path: str, error: Exception) -> str:
    names = _names_inside(path)
    if names is None:
        return "this is not a whole TorchScript file; save it again and copy all of it"
    if "archive_format" in names:
        return "this is a file of torch.export; its name must end in .pt2"
    if "constants.pkl" not in names:
        return WEIGHTS
    return f"this TorchScript file cannot be read by PyTorch {torch.__version__} ({short_reason(error)}); {AGAIN}"
