"""How functions over arrays are compiled, and a hint that processors take."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic


def for_processor(function: Any) -> Any:
    """Return a function compiled for one thread, and kept between runs."""
    return numba.njit(fastmath=True, error_model="numpy", nogil=True, cache=True)(function)


def inlined(function: Any) -> Any:
    """Return a function that is compiled into those that call it."""
    return numba.njit(fastmath=True, error_model="numpy", forceinline=True)(function)


def for_both(function: Any) -> tuple[Any, Any]:
    """Return a pass over all cells compiled for one thread, and for several."""
    alone = FunctionType(function.__code__, function.__globals__, function.__name__)
    alone.__qualname__ = f"{function.__name__}_alone"  # the name of the compiled code that is kept
    return (
        numba.njit(error_model="numpy", nogil=True, cache=True)(alone),
        numba.njit(error_model="numpy", parallel=True, nogil=True, cache=True)(function),
    )


@intrinsic  # type: ignore[untyped-decorator]
def soon(typing: Any, a: Any, index: Any) -> Any:
    """Ask the processor for the cache line of ``a[index]``, which is written soon."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        where = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = builder.module.declare_intrinsic("llvm.prefetch.p0", fnty=kind)
        builder.call(ask, [where, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(a, index), generate
