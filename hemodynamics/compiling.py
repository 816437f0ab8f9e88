"""How functions over arrays are compiled, and a hint that processors take."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def for_processor(function: Any) -> Any:
    """Return a function compiled for one thread, and kept between runs."""
    kept = _named(function, function.__name__)
    return numba.njit(error_model="numpy", nogil=True, cache=True)(kept)


def inlined(function: Any) -> Any:
    """Return a function that is compiled into those that call it."""
    return numba.njit(error_model="numpy", forceinline=True)(function)


def for_both(function: Any) -> tuple[Any, Any]:
    """Return a pass over all cells compiled for one thread, and for several."""
    alone = _named(function, f"{function.__name__}_alone")
    together = _named(function, function.__name__)
    return (
        numba.njit(error_model="numpy", nogil=True, cache=True)(alone),
        numba.njit(error_model="numpy", parallel=True, nogil=True, cache=True)(together),
    )


def _named(function: Any, name: str) -> FunctionType:
    """Return a copy of a function whose compiled code is kept by this name and what it is made of.

    What is kept is compiled anew where the function's own file was changed. What it takes from
    other files, and how it is compiled, would pass unnoticed; so their digest goes into the name.
    """
    copy = FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__qualname__ = f"{name}_{_digest(function.__globals__)}"
    return copy


def _digest(names: Mapping[str, Any]) -> str:
    """Return a digest of this file, and of those that compiled functions by these names are of."""
    files, waiting = {__file__}, [names]
    while waiting:
        for value in list(waiting.pop().values()):
            source = getattr(value, "py_func", None)
            if source is not None and source.__code__.co_filename not in files:
                files.add(source.__code__.co_filename)
                waiting.append(source.__globals__)
    digest = hashlib.sha256(b"".join(Path(file).read_bytes() for file in sorted(files)))
    return digest.hexdigest()[:12]


@intrinsic  # type: ignore[untyped-decorator]
def soon(typing: Any, a: Any, index: Any) -> Any:
    """Ask the processor for the cache line of ``a[index]``, which is written soon."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        _ask(builder, builder.gep(array.data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(a, index), generate


RUNS = "+avx512f" in (config.CPU_FEATURES or "").split(",") or (
    not config.CPU_FEATURES and bool(binding.get_host_cpu_features().get("avx512f"))
)
"""Whether this processor has instructions for parts of vectors; without, they take it longer."""

WIDE = 16
"""Numbers that stand side by side, and of which `gather` and `scatter` move some at once."""

EARLY = 160
"""How many runs early a processor is told where it will read, some two blocks of a lattice."""


@intrinsic  # type: ignore[untyped-decorator]
def gather(typing: Any, a: Any, places: Any, codes: Any, first: Any, after: Any, block: Any) -> Any:
    """Copy runs of single-precision numbers from an array to a block; see `scatter`.

    Beyond the last run there are `EARLY` more places, which are only asked for.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.FloatType(), WIDE)
        kept = cgutils.alloca_once_value(builder, kind([0.0] * WIDE))
        for there, here, mask in _runs(context, builder, signature.args, arguments, True):
            read = [there, ir.IntType(32)(4), mask, builder.load(kept)]
            found = _call(builder, f"llvm.masked.load.v{WIDE}f32.p0", kind, read)
            builder.store(found, kept)
            # Whole, for a processor waits long for a vector that was written in parts.
            builder.store(found, here, align=4)
        return context.get_dummy_value()

    return types.void(a, places, codes, first, after, block), generate


@intrinsic  # type: ignore[untyped-decorator]
def scatter(
    typing: Any, a: Any, places: Any, codes: Any, first: Any, after: Any, block: Any
) -> Any:
    """Copy runs of single-precision numbers from a block to an array.

    Run n, from ``first`` (uint64) to the one before ``after``, has the code of where a vector of
    `WIDE` begins in the block, times 2^WIDE, and of a bit for each of its numbers that belongs
    to the run. ``places`` has where in the array the first of these is.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for there, here, mask in _runs(context, builder, signature.args, arguments, False):
            written = [builder.load(here, align=4), there, ir.IntType(32)(4), mask]
            _call(builder, f"llvm.masked.store.v{WIDE}f32.p0", ir.VoidType(), written)
        return context.get_dummy_value()

    return types.void(a, places, codes, first, after, block), generate


def _runs(
    context: Any, builder: Any, kinds: Any, values: Any, asks: bool
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield, in a loop of compiled code, vectors in the array and the block, and their mask."""
    array, places, codes, block = (
        context.make_array(kinds[n])(context, builder, values[n]).data for n in (0, 1, 2, 5)
    )
    numbers, long = ir.VectorType(ir.FloatType(), WIDE).as_pointer(), ir.IntType(64)
    with cgutils.for_range_slice(builder, values[3], values[4], long(1), long) as (n, _):
        if asks:
            later = builder.load(builder.gep(places, [builder.add(n, long(EARLY))]))
            # A run that fills a vector often reaches into the next cache line.
            for number in (0, WIDE - 1):
                at = builder.add(builder.zext(later, long), long(number))
                _ask(builder, builder.gep(array, [at]))
        code = builder.load(builder.gep(codes, [n]))
        lane = builder.zext(builder.cttz(code, ir.IntType(1)(1)), long)
        place = builder.sub(builder.zext(builder.load(builder.gep(places, [n])), long), lane)
        bits = builder.trunc(code, ir.IntType(WIDE))
        begin = builder.zext(builder.lshr(code, code.type(WIDE)), long)
        yield (
            builder.bitcast(builder.gep(array, [place]), numbers),
            builder.bitcast(builder.gep(block, [begin]), numbers),
            builder.bitcast(bits, ir.VectorType(ir.IntType(1), WIDE)),
        )


def _ask(builder: Any, where: Any) -> None:
    """Ask the processor for a cache line that is written soon."""
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    asked = [builder.bitcast(where, byte), word(1), word(3), word(1)]
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), asked)


def _call(builder: Any, name: str, kind: Any, values: Sequence[Any]) -> Any:
    """Return what a function that is built into the compiler returns."""
    takes = ir.FunctionType(kind, [value.type for value in values])
    return builder.call(builder.module.declare_intrinsic(name, fnty=takes), values)
