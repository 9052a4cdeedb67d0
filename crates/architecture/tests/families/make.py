"""Writes the inventories of published families beside itself: names, shapes and types, no weights.

Needs PyTorch, transformers 5.23, diffusers 0.42 and gguf 0.19. Models are made on the meta device from the libraries' public configuration
classes, nothing is fetched. Usage: make.py [ID ...]
"""

import pathlib
import sys

import diffusion
import ggml
import index
import published
from inventory import write

HERE = pathlib.Path(__file__).parent
SOURCES = [
    ("classes of transformers", published.MODELS),
    ("classes of diffusers and transformers", diffusion.MODELS),
    ("the published index of tensors; the classes are in no library", index.MODELS),
]


def main(wanted):
    for origin, models in SOURCES:
        for name, (title, source, build) in models.items():
            if not wanted or name in wanted:
                config, tensors = build()
                print(name, write(HERE / f"{name}.txt", title, source, origin, config, tensors))
    for name in ggml.MODELS:
        if not wanted or f"{name}-gguf" in wanted:
            title, source = ((HERE / f"{name}.txt").read_text().splitlines()[at].split(": ", 1)[1] for at in (0, 1))
            config, tensors = ggml.build(name)()
            print(f"{name}-gguf", write(HERE / f"{name}-gguf.txt", f"{title}, GGUF", source, "table of names in the gguf package", config, tensors))
    for name, (title, source, folders) in diffusion.PIPELINES.items():
        if not wanted or name in wanted:
            includes = [(folder + ".", other) for folder, other in folders.items()]
            write(HERE / f"{name}.txt", title, source, "folders of the components", {}, {}, includes)


main(sys.argv[1:])
