#!/usr/bin/env python3
"""Writes grids.bin: the points of ggml's i-quants, as the `gguf` package (MIT, the ggml authors) packs them.

    pip install gguf
    python make.py

Two bits an element for IQ2 (0x08, 0x19, 0x2b) and IQ1 (-1, 0, 1), eight to a point; four bits for IQ3, four to a point.
"""

import pathlib

from gguf import quants

ORDER = ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"]
out = b""
for name in ORDER:
    kind = getattr(quants, name)
    grid = bytes.fromhex(kind.grid_hex.decode())
    print(name, kind.grid_shape, kind.grid_map, len(out), len(grid))
    out += grid
(pathlib.Path(__file__).parent / "grids.bin").write_bytes(out)
