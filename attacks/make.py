#!/usr/bin/env python3
"""Writes hostile files, one per refusal or hazard, and the table EXPECT.tsv of what a reader must say to each.

Plain Python, no libraries: what a library would refuse to write is the point. Huge things are only claimed, never
written. Expected outcomes: `error:` and a part of the message, or `hazard:` and a code; for packed weights `undecoded:` and a
part of the reason, or `unreadable:` and a part of the message when numbers are asked for.
"""

import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).parent
table = []


def attack(path, content, sentence, expected):
    target = HERE / path
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
    table.append((path, sentence, expected))


# --- safetensors ---------------------------------------------------------------------------------------------------


def st(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(name, dtype, shape, begin, end, extra=""):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]{extra}}}'


def safetensors(name, content, sentence, expected):
    attack(f"safetensors/{name}.safetensors", content, sentence, expected)


def make_safetensors():
    one = "{" + entry("a", "U8", [4], 0, 4) + "}"
    safetensors("empty", b"", "a file without bytes", "error:empty file")
    safetensors("length-only", struct.pack("<Q", 0), "a header length of zero and nothing else", "error:not a checkpoint")
    safetensors("length-zero", st("{}", length=0), "a header length of zero before a header", "error:expected an object")
    safetensors("length-short", st(one, b"\0" * 4, length=7), "a header length that cuts the header", "error:JSON")
    safetensors("length-max", st(one, length=2**63), "a header length of 2^63", "error:the limit is 33554432")
    safetensors("length-minus-one", st(one, length=2**64 - 1), "a header length of 2^64 - 1", "error:the limit is")
    safetensors("length-past-end", st(one, length=4096), "a header length beyond the file", "error:the header claims bytes")
    safetensors("truncated-data", st("{" + entry("model.layers.4.mlp.up_proj.weight", "F32", [64, 64], 0, 16384) + "}", b"\0" * 64),
                "a tensor that ends behind the file", "error:the file ends at")
    safetensors("reversed-offsets", st("{" + entry("a", "U8", [4], 4, 0) + "}", b"\0" * 4), "offsets that run backwards", "error:backwards")
    safetensors("negative-offset", st("{" + entry("a", "U8", [4], -4, 0) + "}", b"\0" * 4), "a negative offset", "error:non-negative")
    safetensors("float-offset", st("{" + entry("a", "U8", [4], 0, "4.0") + "}", b"\0" * 4), "an offset with a fraction", "error:non-negative")
    safetensors("huge-offset", st("{" + entry("a", "U8", [4], 0, "1e300") + "}", b"\0" * 4), "an offset of 1e300", "error:non-negative")
    safetensors("offset-wrap", st("{" + entry("a", "U8", [4], 2**64 - 4, 2**64 - 1) + "}", b"\0" * 4),
                "offsets that wrap when the data section's start is added", "error:the file ends at")
    safetensors("overlap", st("{" + entry("a", "U8", [4], 0, 4) + "," + entry("b", "U8", [4], 2, 6) + "}", b"\0" * 6),
                "two tensors that share bytes", "error:overlaps")
    safetensors("same-bytes", st("{" + entry("a", "U8", [4], 0, 4) + "," + entry("b", "U8", [4], 0, 4) + "}", b"\0" * 4),
                "two tensors over the same bytes", "error:overlaps")
    safetensors("hole", st("{" + entry("a", "U8", [2], 0, 2) + "," + entry("b", "U8", [2], 4, 6) + "}", b"\0" * 6),
                "bytes between tensors where something may hide", "error:hole")
    safetensors("trailing", st(one, b"\0" * 4 + b"cos\nsystem\n."), "a pickle behind the last tensor", "error:behind the last tensor")
    safetensors("duplicate-name", st("{" + entry("a", "U8", [4], 0, 4) + "," + entry("a", "F32", [1], 4, 8) + "}", b"\0" * 8),
                "one name twice: loaders take the last entry, scanners the first", "error:occurs twice")
    safetensors("duplicate-field", st("{" + entry("a", "U8", [4], 0, 4, ',"dtype":"F32"') + "}", b"\0" * 4),
                "one field of an entry twice", "error:occurs twice")
    safetensors("shape-lies", st("{" + entry("a", "F32", [4], 0, 4) + "}", b"\0" * 4), "a shape that needs more bytes than the offsets span", "error:need 16 bytes")
    safetensors("shape-overflow", st("{" + entry("a", "F32", [2**32, 2**32, 2], 0, 4) + "}", b"\0" * 4), "a shape whose product overflows to zero", "error:overflows")
    safetensors("zero-times-huge", st("{" + entry("a", "F32", [0, 2**62], 0, 0) + "}"), "a zero extent beside a huge one", "error:overflows")
    safetensors("empty-but-huge", st("{" + entry("a", "U8", [0, 2**40], 0, 0) + "}"), "an empty tensor with an absurd extent", "hazard:absurd-shape")
    safetensors("rank-1000", st("{" + entry("a", "U8", [1] * 1000, 0, 1) + "}", b"\0"), "a tensor of a thousand dimensions", "error:rank")
    safetensors("long-name", st("{" + entry("a" * 600, "U8", [1], 0, 1) + "}", b"\0"), "a name of 600 bytes", "error:name length")
    safetensors("control-name", st("{" + entry("a\\u001b[2J\\u0000", "U8", [1], 0, 1) + "}", b"\0"), "a name that clears a terminal", "hazard:odd-name")
    safetensors("path-name", st("{" + entry("../../etc/x", "U8", [1], 0, 1) + "}", b"\0"), "a name that is a path", "hazard:odd-name")
    safetensors("unknown-dtype", st("{" + entry("a", "Q4_X", [1], 0, 4) + "}", b"\0" * 4), "a dtype that nobody knows", "hazard:unknown-dtype")
    safetensors("f4-odd", st("{" + entry("a", "F4", [3], 0, 2) + "}", b"\0" * 2), "three four-bit elements", "error:byte boundary")
    safetensors("f6-odd", st("{" + entry("a", "F6_E2M3", [3], 0, 3) + "}", b"\0" * 3), "three six-bit elements", "error:byte boundary")
    safetensors("unknown-field", st("{" + entry("a", "U8", [1], 0, 1, ',"exec":"rm"') + "}", b"\0"), "a field that the format does not define", "hazard:unknown-field")
    safetensors("blanks-first", st("  " + one, b"\0" * 4), "blanks before the header", "hazard:header-padding")
    safetensors("array-root", st("[]"), "a header that is a list", "error:expected an object")
    safetensors("deep-json", st('{"a":' * 2000), "a header that nests 2000 deep", "error:too deeply")
    safetensors("not-utf8", st(b'{"\xff\xfe":1}'), "a header that is not UTF-8", "error:not UTF-8")
    safetensors("lone-surrogate", st("{" + entry("\\ud800", "U8", [1], 0, 1) + "}", b"\0"), "half a character as a name", "error:surrogate")
    safetensors("metadata-number", st('{"__metadata__":{"a":1}}'), "metadata that is not text", "error:expected a string")
    safetensors("metadata-twice", st('{"__metadata__":{},"__metadata__":{}}'), "metadata twice", "error:occurs twice")
    bomb = ",".join(entry(f"{i}", "U8", [0], 0, 0) for i in range(900))
    safetensors("empty-tensors", st("{" + bomb + "," + entry("0", "U8", [0], 0, 0) + "}"), "hundreds of empty tensors, one of them twice", "error:occurs twice")
    safetensors("polyglot-zip", st("{" + entry("a", "U8", [22], 0, 22) + "}", b"PK\x05\x06" + b"\0" * 18), "a file that is a zip archive as well", "hazard:polyglot")
    safetensors("nan-shape", st('{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,0]}}'), "an extent that is not a number", "error:non-negative")


# --- GGUF ----------------------------------------------------------------------------------------------------------


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(value)) + value


def kv(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def u32(key, value):
    return kv(key, 4, struct.pack("<I", value))


def string(key, value):
    return kv(key, 8, text(value))


def info(name, extents, kind, offset):
    return text(name) + struct.pack("<I", len(extents)) + struct.pack(f"<{len(extents)}Q", *extents) + struct.pack("<iQ", kind, offset)


def gg(keys=(), tensors=(), data=b"", version=3, n_keys=None, n_tensors=None, align=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    head += b"".join(keys) + b"".join(tensors)
    if data:
        head += b"\0" * (-len(head) % align)
    return head + data


def gguf(name, content, sentence, expected):
    attack(f"gguf/{name}.gguf", content, sentence, expected)


def make_gguf():
    f32 = info("a", [8], 0, 0)
    data = b"\0" * 32
    gguf("magic-only", b"GGUF", "four bytes", "error:the version claims bytes")
    gguf("version-0", gg(version=0), "version 0", "error:version 0")
    gguf("version-1", gg(version=1), "version 1, with narrower lengths", "error:version 1")
    gguf("version-4", gg(version=4), "a version of the future", "error:version 4")
    gguf("big-endian", gg(version=3 << 24), "a byte-swapped file", "hazard:big-endian")
    gguf("tensors-2-63", gg(n_tensors=2**63), "2^63 tensors", "error:the number of tensors")
    gguf("keys-minus-one", gg(n_keys=2**64 - 1), "minus one keys", "error:the number of keys")
    gguf("keys-absent", gg(n_keys=1000), "a thousand keys in a file of 24 bytes", "error:a section of 1000 keys")
    gguf("tensors-absent", gg(n_tensors=1000), "a thousand tensors in a file of 24 bytes", "error:a section of 1000 tensor")
    gguf("key-length", gg([struct.pack("<Q", 2**64 - 1) + b"x" * 20]), "a key of 2^64 - 1 bytes", "error:a key claims bytes")
    gguf("text-length", gg([kv("a", 8, struct.pack("<Q", 2**62) + b"x" * 20)]), "a text of 2^62 bytes", "error:key `a` claims bytes")
    gguf("array-count", gg([kv("a", 9, struct.pack("<IQ", 0, 2**60))]), "a list of 2^60 bytes", "error:key `a` claims bytes")
    gguf("array-wrap", gg([kv("a", 9, struct.pack("<IQ", 10, 2**61 + 1))]), "a list whose size wraps to eight bytes", "error:key `a` claims bytes")
    gguf("array-texts", gg([kv("a", 9, struct.pack("<IQ", 8, 2**30))]), "2^30 empty texts", "error:key `a` claims bytes")
    gguf("array-nested", gg([kv("a", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 1) + b"\0")]), "a list of lists", "error:arrays of arrays")
    gguf("value-type", gg([kv("a", 99, b"\0" * 8)]), "a value type that nobody knows", "error:value type 99")
    gguf("token-count", gg([string("tokenizer.ggml.model", "x"), kv("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2**31))]),
         "2^31 tokens", "error:claims bytes")
    gguf("duplicate-key", gg([u32("a", 1), u32("a", 2)]), "one key twice", "error:occurs twice")
    gguf("odd-key", gg([u32(b"a\xff\0b", 1)]), "a key that is not UTF-8", "hazard:odd-key")
    gguf("duplicate-tensor", gg([], [f32, info("a", [8], 0, 32)], data * 2), "one tensor name twice", "error:occurs twice")
    gguf("rank-5", gg([], [info("a", [1] * 5, 0, 0)], data), "five dimensions", "error:rank")
    gguf("rank-huge", gg([], [text("a") + struct.pack("<I", 2**32 - 1) + b"\0" * 64], data), "2^32 - 1 dimensions", "error:rank")
    gguf("extent-wrap", gg([], [info("a", [2**42 + 1, 2**22, 1, 1], 0, 0)], data), "extents whose product wraps to a small number", "error:overflows")
    gguf("extent-max", gg([], [info("a", [2**63 - 1, 2, 1, 1], 0, 0)], data), "an extent of 2^63 - 1", "error:overflows")
    gguf("extent-zero", gg([], [info("a", [0, 2**62, 2**62], 0, 0)], data), "a zero extent that hides an overflow", "error:overflows")
    gguf("bytes-overflow", gg([], [info("a", [2**61 + 2], 28, 0)], data), "a size in bytes that wraps", "error:overflows")
    gguf("type-withdrawn", gg([], [info("a", [32], 4, 0)], data), "a withdrawn tensor type", "hazard:unknown-type")
    gguf("type-fork", gg([], [info("a", [32], 137, 0)], data), "a tensor type of a fork", "hazard:unknown-type")
    gguf("type-negative", gg([], [info("a", [32], -1, 0)], data), "tensor type -1", "hazard:unknown-type")
    gguf("row-not-block", gg([], [info("a", [33], 8, 0)], data * 2), "a row that is no whole number of blocks", "error:whole blocks")
    gguf("alignment-0", gg([u32("general.alignment", 0)], [f32], data), "an alignment of zero", "error:power of two")
    gguf("alignment-3", gg([u32("general.alignment", 3)], [f32], data), "an alignment of three", "error:power of two")
    gguf("alignment-2-31", gg([u32("general.alignment", 2**31)], [f32], data), "an alignment of 2^31", "error:power of two")
    gguf("alignment-text", gg([string("general.alignment", "32")], [f32], data), "an alignment in words", "error:32-bit unsigned")
    gguf("offset-past-end", gg([], [info("a", [8], 0, 4096)], data), "a tensor behind the end of the file", "error:the file ends at")
    gguf("offset-max", gg([], [info("a", [8], 0, 2**64 - 32)], data), "an offset that wraps", "error:the file ends at")
    gguf("offset-unaligned", gg([], [info("a", [7], 0, 4)], data), "an offset that is not aligned", "error:not a multiple")
    gguf("overlap", gg([], [info("a", [16], 0, 0), info("b", [8], 0, 32)], data * 2), "two tensors that share bytes", "error:overlaps")
    gguf("descending", gg([], [info("b", [8], 0, 32), info("a", [8], 0, 0)], data * 2), "tensors against the order of their bytes", "hazard:offset-order")
    gguf("gap", gg([], [info("a", [8], 0, 64)], data * 3), "a gap in which something may hide", "hazard:offset-gap")
    gguf("trailing", gg([], [f32], data + b"cos\nsystem\n." * 4), "a pickle behind the last tensor", "hazard:trailing-bytes")
    gguf("bleeding", gg([], [info("a", [2**20], 0, 0)], data), "a megabyte tensor in a file of bytes (CVE-2026-7482)", "error:the file ends at")
    gguf("name-length", gg([], [struct.pack("<Q", 2**40) + b"\0" * 64]), "a tensor name of 2^40 bytes", "error:a tensor name")
    gguf("name-control", gg([], [info("a\x1b[2J", [8], 0, 0)], data), "a name that clears a terminal", "hazard:odd-name")
    gguf("template", gg([string("tokenizer.chat_template", "{{ ''.__class__.__mro__[1].__subclasses__() }}")]), "a chat template that reaches for the interpreter (CVE-2024-34359)", "hazard:suspicious-chat-template")
    gguf("template-import", gg([string("tokenizer.chat_template", "{% set x = cycler.x.os.popen('id') %}")]), "a chat template that opens a process", "hazard:suspicious-chat-template")
    gguf("nvfp4-alone", gg([], [info("a.weight", [64], 40, 0)], b"\0" * 36), "an NVFP4 tensor without its scale", "hazard:missing-scale")
    gguf("base-models", gg([kv("general.base_model.count", 11, struct.pack("<q", 2**62)), u32("general.alignment", 0)]), "2^62 base models", "error:power of two")


# --- PyTorch -------------------------------------------------------------------------------------------------------


def zipped(entries, comment=b"", prefix=b"", patch=None):
    """A stored zip archive. `patch` may change (local header, central header) of an entry before they are written."""
    body, central, count = prefix, b"", 0
    for index, (name, content) in enumerate(entries):
        raw = name if isinstance(name, bytes) else name.encode()
        crc = zlib.crc32(content)
        fields = dict(flags=0, method=0, crc=crc, packed=len(content), size=len(content), name=raw, offset=len(body) - len(prefix))
        local, far = dict(fields), dict(fields)
        if patch:
            patch(index, local, far)
        body += struct.pack("<IHHHHHIIIHH", 0x04034b50, 20, local["flags"], local["method"], 0, 0, local["crc"], local["packed"] & 0xffffffff, local["size"] & 0xffffffff, len(local["name"]), 0)
        body += local["name"] + content
        central += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 20, 20, far["flags"], far["method"], 0, 0, far["crc"], far["packed"] & 0xffffffff, far["size"] & 0xffffffff, len(far["name"]), 0, 0, 0, 0, 0, far["offset"] & 0xffffffff)
        central += far["name"]
        count += 1
    end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, len(central), len(body) - len(prefix), len(comment))
    return body + central + end + comment


def archive(pickle, storages=(("0", b"\0" * 16),), more=(), **options):
    entries = [("a/data.pkl", pickle), ("a/byteorder", b"little")]
    entries += [(f"a/data/{key}", content) for key, content in storages]
    return zipped(entries + list(more), **options)


def word(value):
    value = value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def number(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw if not -2**63 <= value < 2**63 else b"\x8a\x08" + raw[:8]


def numbers(values):
    return b"(" + b"".join(number(v) for v in values) + b"t"


def storage(key="0", count=4, kind="FloatStorage"):
    return b"(" + word("storage") + b"ctorch\n" + kind.encode() + b"\n" + word(key) + word("cpu") + number(count) + b"tQ"


def tensor(offset=0, size=(2, 2), stride=(2, 1), store=None):
    body = (storage() if store is None else store) + number(offset) + numbers(size) + numbers(stride)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + body + b"\x89ccollections\nOrderedDict\n)RtR"


def state(items):
    return b"\x80\x02}(" + b"".join(word(name) + value for name, value in items) + b"u."


OS = b"cposix\nsystem\n" + b"(" + word("id") + b"tR"


def torch(name, content, sentence, expected):
    attack(f"torch/{name}.pt", content, sentence, expected)


def make_pickles():
    good = tensor()
    torch("system-head", archive(b"\x80\x02" + OS + b"0" + state([("w", good)])[2:]), "a call before the weights", "hazard:pickle-global")
    torch("system-value", archive(state([("w", good), ("x", OS)])), "a call as one of the values", "hazard:pickle-global")
    torch("system-key", archive(b"\x80\x02}(" + OS + good + b"u."), "a call as a key", "hazard:pickle-global")
    torch("system-build", archive(b"\x80\x02ccollections\nOrderedDict\n)R" + OS + b"b."), "a call in the state of an object", "hazard:pickle-global")
    torch("system-persid", archive(state([("w", tensor(store=b"(" + word("storage") + OS + word("0") + word("cpu") + number(4) + b"tQ"))])), "a call inside a storage reference", "hazard:pickle-global")
    torch("stack-global", archive(b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x8c\x02id\x85R."), "an import by names from the stack", "hazard:pickle-global")
    torch("stack-global-memo", archive(b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94\x30\x30h\x01h\x00\x93\x8c\x02id\x85R."), "an import by names from the memo", "hazard:pickle-global")
    torch("stack-global-computed", archive(b"\x80\x04K\x01K\x02\x93)R."), "an import by names that are no texts", "hazard:pickle-computed-import")
    torch("inst", archive(b"(S'id'\niposix\nsystem\n."), "a call by INST", "hazard:pickle-global")
    torch("obj", archive(b"(cposix\nsystem\nS'id'\no."), "a call by OBJ", "hazard:pickle-global")
    torch("newobj-ex", archive(b"\x80\x04csubprocess\nPopen\n" + word("id") + b"\x85}\x92."), "a call by NEWOBJ_EX", "hazard:pickle-global")
    torch("extension", archive(b"\x80\x02\x82\x07)R."), "a call through the extension registry", "hazard:pickle-extension")
    torch("getattr-chain", archive(b"\x80\x02cbuiltins\ngetattr\n(cbuiltins\n__import__\n(" + word("os") + b"tR" + word("system") + b"tR(" + word("id") + b"tR."), "a call of what another call returns", "hazard:pickle-computed-call")
    torch("invalid-behind", archive(b"\x80\x02" + OS + b"\xff\xff\xff"), "an invalid opcode behind the payload, which makes scanners give up", "hazard:pickle-malformed")
    torch("no-stop", archive(b"\x80\x02" + OS), "a payload without an end", "hazard:pickle-malformed")
    torch("second-pickle", archive(state([("w", good)]) + b"\x80\x02" + OS + b"."), "a second pickle behind the first", "hazard:pickle-trailing")
    torch("proto-6", archive(b"\x80\x06" + state([("w", good)])[2:]), "a protocol of the future", "hazard:pickle-odd")
    torch("two-protos", archive(b"\x80\x02\x80\x02" + state([("w", good)])[2:]), "the protocol declared twice", "hazard:pickle-odd")
    torch("frame-lies", archive(b"\x80\x04\x95" + struct.pack("<Q", 2**40) + state([("w", good)])[2:]), "a frame longer than the file", "hazard:pickle-odd")
    torch("memo-bomb", archive(b"\x80\x02K\x00q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(64)) + b"."), "tuples that double 64 times", "error:the number of values under all names")
    dicts = b"\x80\x02}q\x00" + b"".join(b"0}(" + word("a") + b"h\x00" + word("b") + b"h\x00uq\x00" for _ in range(64)) + b"."
    torch("dict-bomb", archive(dicts), "dictionaries that double 64 times", "error:so far")
    torch("self-dict", archive(b"\x80\x02}q\x00(" + word("a") + b"h\x00" + word("w") + good + b"u."), "a dictionary that holds itself", "hazard:pickle-cycle")
    torch("self-list", archive(b"\x80\x02]q\x00(h\x00h\x00h\x00e."), "a list that holds itself three times", "hazard:pickle-cycle")
    torch("deep-lists", archive(b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b"."), "lists that nest 5000 deep", "error:")
    torch("deep-marks", archive(b"\x80\x02" + b"(" * 5000 + b"t" * 5000 + b"."), "marks that nest 5000 deep", "error:nesting of marks")
    torch("long4", archive(b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01."), "an integer of 2 GB", "error:the pickle ends at")
    torch("long4-negative", archive(b"\x80\x02\x8b" + struct.pack("<i", -1) + b"."), "an integer of minus one bytes", "error:negative length")
    torch("unicode8", archive(b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x."), "a text of 2^63 bytes", "error:the pickle ends at")
    torch("bytes8", archive(b"\x80\x04\x8e" + struct.pack("<Q", 2**64 - 1) + b"x."), "a byte string of 2^64 - 1 bytes", "error:the pickle ends at")
    torch("bytearray8", archive(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x."), "a byte array of a terabyte", "error:the pickle ends at")
    torch("long-line", archive(b"\x80\x00V" + b"x" * 4000), "a text line without an end", "error:the pickle ends at")
    torch("get-missing", archive(b"\x80\x02h\x09."), "a memo entry that was never made", "error:never memoised")
    torch("underflow", archive(b"\x80\x02a."), "an opcode on an empty stack", "error:empty stack")
    torch("persid-text", archive(b"\x80\x00Pstorage\n."), "an outside reference as text", "hazard:pickle-persistent-id")
    torch("persid-odd", archive(b"\x80\x02(" + word("file") + word("/etc/passwd") + b"tQ."), "an outside reference to a file", "hazard:pickle-persistent-id")


def make_tensors():
    def one(sentence, name, expected, value=None, **options):
        torch(name, archive(state([("w", tensor(**options) if value is None else value)])), sentence, expected)

    one("a storage offset behind the storage", "offset-past", "error:beyond its storage", offset=100)
    one("a negative storage offset", "offset-negative", "error:storage offset", offset=-1)
    one("a negative extent", "size-negative", "error:non-negative", size=(-2, 2))
    one("a negative stride", "stride-negative", "error:non-negative", stride=(-2, 1))
    one("a stride that wraps to zero", "stride-wrap", "error:beyond its storage", stride=(2**62, 1), size=(5, 1))
    one("sizes whose product wraps", "size-wrap", "error:overflows", size=(2**62, 2**62), stride=(0, 0))
    one("a stride of zero that makes a terabyte of four bytes", "stride-zero-bomb", "error:expanded view", size=(2**20, 2**20), stride=(0, 0))
    one("size and stride of different rank", "rank-differs", "error:as many in both", size=(2, 2, 1))
    one("a tensor of 40 dimensions", "rank-40", "error:rank", size=(1,) * 40, stride=(1,) * 40)
    one("a storage that is not in the file", "storage-missing", "error:not in the file", store=storage("9"))
    one("a storage key that is a path", "storage-path", "error:not in the file", store=storage("../../../etc/passwd"))
    one("a storage that claims more elements than its bytes hold", "numel-lies", "error:its storage ends at", store=storage(count=1000))
    one("a storage that claims 2^62 elements", "numel-huge", "error:overflows", store=storage(count=2**62))
    one("a storage that claims minus one elements", "numel-negative", "error:size is not", store=storage(count=-1))
    one("a storage class that does not exist", "storage-class", "hazard:pickle-global", store=storage(kind="EvilStorage"))
    one("too few arguments", "short-args", "error:too few arguments", value=b"ctorch._utils\n_rebuild_tensor_v2\n(K\x00tR")
    one("arguments that are no tuple", "args-not-tuple", "error:not a tuple", value=b"ctorch._utils\n_rebuild_tensor_v2\nK\x00R")
    one("a storage that is a number", "storage-number", "error:outside reference", store=b"K\x00")
    nested = b"ctorch._utils\n_rebuild_parameter\n(" * 50 + tensor() + b"\x89ccollections\nOrderedDict\n)RtR" * 50
    one("a parameter of a parameter of a parameter", "parameter-nest", "error:wrappers nest", value=nested)
    torch("shared-key", archive(state([("w", tensor()), ("v", tensor())])), "two tensors over one storage", "hazard:shared-storage")
    torch("key-twice", archive(state([("w", tensor()), ("w", tensor(size=(1, 1)))])), "one key twice: the last counts", "hazard:duplicate-key")
    torch("control-key", archive(state([("w\x1b[2J", tensor())])), "a key that clears a terminal", "hazard:odd-name")
    torch("storage-longer", archive(state([("w", tensor())]), [("0", b"\0" * 64)]), "a storage with more bytes than it declares", "hazard:storage-size")


def make_zips():
    good = state([("w", tensor())])

    def patched(name, sentence, expected, change, which=0):
        torch(name, archive(good, patch=lambda index, local, far: change(local, far) if index == which else None), sentence, expected)

    patched("zip-local-name", "another name in the local header", "hazard:zip-header-mismatch", lambda l, f: l.update(name=b"a/evil.pkl"))
    patched("zip-local-size", "another size in the local header", "hazard:zip-header-mismatch", lambda l, f: l.update(size=5, packed=5))
    patched("zip-crc", "a checksum that does not match", "hazard:zip-checksum", lambda l, f: (l.update(crc=1), f.update(crc=1)))
    patched("zip-encrypted", "an entry marked as encrypted", "error:encrypted", lambda l, f: f.update(flags=1))
    patched("zip-deflate", "a compressed pickle", "error:method 8", lambda l, f: (l.update(method=8), f.update(method=8)))
    patched("zip-deflate-storage", "a compressed storage", "error:method 8", lambda l, f: (l.update(method=8), f.update(method=8)), which=2)
    patched("zip-method", "a compression method that nobody knows", "error:method 99", lambda l, f: (l.update(method=99), f.update(method=99)))
    patched("zip-size-lies", "an entry larger than the file", "error:the file ends at", lambda l, f: f.update(size=2**31, packed=2**31))
    patched("zip-offset-past", "an entry behind the end of the file", "error:the file ends at", lambda l, f: f.update(offset=2**30))
    patched("zip-offset-wrong", "an entry that points into another", "error:no local header", lambda l, f: f.update(offset=3))
    patched("zip64-missing", "saturated sizes without their 64-bit twins", "error:", lambda l, f: f.update(size=0xffffffff, packed=0xffffffff))
    patched("zip-same-offset", "two entries over the same bytes", "error:overlaps", lambda l, f: f.update(offset=0, name=b"a/other"), which=1)
    torch("zip-duplicate", archive(good, more=[("a/data.pkl", b"\x80\x02" + OS + b".")]), "two entries of one name", "error:occurs twice")
    torch("zip-two-pickles", archive(good, more=[("b/data.pkl", b"\x80\x02" + OS + b".")]), "two pickles in two folders", "error:second `data.pkl`")
    torch("zip-prefix", archive(good, prefix=b"#!/bin/sh\necho hi\n"), "a shell script before the archive", "hazard:zip-prefix")
    torch("zip-comment", archive(good, comment=b"x" * 100), "a comment in which an end record may hide", "hazard:zip-comment")
    torch("zip-fake-end", archive(good, comment=b"PK\x05\x06" + b"\0" * 18), "an end record inside the comment of another", "error:")
    torch("zip-traversal", archive(good, more=[("../../evil", b"x")]), "an entry that leaves the directory", "hazard:zip-entry-path")
    torch("zip-code", archive(good, more=[("a/code/__torch__.py", b"import os")]), "TorchScript code", "hazard:torchscript-code")
    torch("zip-big-endian", zipped([("a/data.pkl", good), ("a/byteorder", b"big"), ("a/data/0", b"\0" * 16)]), "storages of the other byte order", "error:byte order")
    torch("zip-no-pickle", zipped([("a/data/0", b"\0" * 16)]), "an archive without a pickle", "error:zip archive without")
    end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)
    torch("zip-counts-lie", b"PK\x03\x04" + b"\0" * 60 + end, "65535 entries and a directory of 4 GB", "error:")
    wide = struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, 2**60, 2**60, 2**62, 2**62)
    locator = struct.pack("<IIQI", 0x07064b50, 0, 64, 1)
    torch("zip64-lies", b"PK\x03\x04" + b"\0" * 60 + wide + locator + end, "2^60 entries in 64-bit fields", "error:the limit is")
    torch("seven-zip", b"7z\xbc\xaf\x27\x1c" + b"\0" * 26, "a 7z archive by another name", "error:7z archive")
    torch("tar", b"pickle".ljust(257, b"\0") + b"ustar\0" + b"\0" * 249, "a tar archive, the oldest format", "error:tar archive")
    torch("plain-pickle", b"\x80\x02" + OS + b".", "a pickle without any container", "error:pickle without")


MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def stream(pickle, keys=("0",), storages=None, protocol=1001, little=True):
    body = MAGIC + b"\x80\x02" + number(protocol) + b"." + b"\x80\x02}" + word("little_endian") + (b"\x88" if little else b"\x89") + b"s."
    body += pickle + b"\x80\x02](" + b"".join(map(word, keys)) + b"e."
    return body + (struct.pack("<q", 4) + b"\0" * 16 if storages is None else storages)


def make_streams():
    good = state([("w", tensor())])
    torch("old-system", stream(state([("w", tensor()), ("x", OS)])), "a call in a legacy stream", "hazard:pickle-global")
    torch("old-numel-negative", stream(good, storages=struct.pack("<q", -1)), "a storage of minus one elements", "error:claims -1 elements")
    torch("old-numel-huge", stream(good, storages=struct.pack("<q", 2**62)), "a storage of 2^62 elements", "error:claims 4611686018427387904")
    torch("old-numel-past", stream(good, storages=struct.pack("<q", 2**40)), "a storage of a terabyte", "error:the file ends at")
    torch("old-short", stream(good, storages=struct.pack("<q", 2) + b"\0" * 8), "a storage with fewer elements than the pickle says", "error:its storage ends at")
    torch("old-trailing", stream(good) + b"cos\nsystem\n.", "a pickle behind the last storage", "hazard:trailing-bytes")
    torch("old-protocol", stream(good, protocol=1002), "a protocol of the future", "error:protocol version")
    torch("old-big-endian", stream(good, little=False), "storages of the other byte order", "error:byte order")
    torch("old-key-twice", stream(good, keys=("0", "0"), storages=(struct.pack("<q", 4) + b"\0" * 16) * 2), "one storage key twice", "error:occurs twice")
    torch("old-key-unknown", stream(good, keys=("0", "1")), "a storage that nothing refers to", "error:no tensor refers to it")
    torch("old-two-widths", stream(state([("w", tensor()), ("v", tensor(store=storage(kind="DoubleStorage")))])), "one storage under two element types", "error:elements of")
    torch("old-magic-only", MAGIC, "the magic number and nothing else", "error:claims bytes")
    torch("old-head-system", MAGIC + b"\x80\x02" + OS + b"0" + stream(good)[len(MAGIC) + 2:], "a call in the protocol number", "hazard:pickle-global")


# --- shard maps ----------------------------------------------------------------------------------------------------


def make_shards():
    def shard(name, path, sentence, expected):
        attack(f"shards/{name}.index.json", f'{{"weight_map":{{"a":"{path}"}}}}'.encode(), sentence, expected)

    shard("parent", "../model.safetensors", "a shard in the parent directory", "error:leaves the directory")
    shard("parent-inside", "a/../../model.safetensors", "a shard that leaves through a folder", "error:leaves the directory")
    shard("absolute", "/etc/model.safetensors", "an absolute path", "error:absolute")
    shard("drive", "C:/model.safetensors", "a drive letter", "error:colon")
    shard("backslash", "..\\\\model.safetensors", "a path for another system", "error:backslash")
    shard("unc", "\\\\\\\\host\\\\share\\\\x.safetensors", "a network path", "error:backslash")
    shard("nul", "model\\u0000.safetensors", "a name that ends early in C", "error:control")
    shard("newline", "a\\nb.safetensors", "a name over two lines", "error:control")
    shard("escape", "a\\u001b[2J.safetensors", "a name that clears a terminal", "error:control")
    shard("bidi", "a\\u202egnp.safetensors", "a name that reads backwards", "error:invisible")
    shard("pickle", "model.bin", "a pickle where a safetensors file is expected", "error:another extension")
    shard("itself", "itself.index.json", "the map names itself", "error:the shard map itself")
    shard("long", "a" * 5000 + ".safetensors", "a path of 5000 bytes", "error:too long")
    attack("shards/duplicate.index.json", b'{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', "one tensor in two shards", "error:occurs twice")
    attack("shards/twice.index.json", b'{"weight_map":{},"weight_map":{"a":"x.safetensors"}}', "two maps in one", "error:occurs twice")
    attack("shards/case.index.json", b'{"weight_map":{"a":"X.safetensors","b":"x.safetensors"}}', "two shards that one file system cannot tell apart", "hazard:case-collision")
    attack("shards/no-map.index.json", b'{"metadata":{"total_size":1e400}}', "no map at all", "error:`weight_map` is missing")
    attack("shards/number.index.json", b'{"weight_map":{"a":7}}', "a shard that is a number", "error:expected a string")
    attack("shards/deep.index.json", b'{"metadata":' + b"[" * 3000, "a map that nests 3000 deep", "error:too deeply")


# --- configurations and tokenizers ---------------------------------------------------------------------------------


def make_json():
    attack("json/remote-code.config.json", b'{"auto_map":{"AutoModel":"evil.Model"}}', "a configuration that names code", "hazard:remote-code")
    attack("json/duplicate.config.json", b'{"hidden_size":1,"hidden_size":2}', "one key twice", "hazard:duplicate-key")
    attack("json/deep.config.json", b'{"a":' * 5000, "a configuration that nests 5000 deep", "error:too deeply")
    attack("json/big-id.tokenizer.json", b'{"model":{"vocab":{"a":18446744073709551615}}}', "a token with the largest id", "error:largest token id")
    attack("json/sparse-id.tokenizer.json", b'{"model":{"vocab":{"a":4000000000}}}', "a token id of four thousand millions", "error:largest token id")
    attack("json/negative-id.tokenizer.json", b'{"model":{"vocab":{"a":-1}}}', "a negative token id", "error:non-negative")


# --- packed weights --------------------------------------------------------------------------------------------------

SIZES = {"U32": 4, "F32": 4, "I32": 4, "F16": 2, "I64": 8}


def packed(name, pieces, sentence, expected):
    """`pieces`: name -> (type, extents[, bytes]); bytes default to ones, which are small numbers in every type."""
    header, data = [], b""
    for piece, (dtype, shape, *content) in pieces.items():
        size = SIZES.get(dtype, 1)
        for extent in shape:
            size *= extent
        content = content[0] if content else b"\1" * size
        assert len(content) == size, (name, piece)
        header.append(entry(piece, dtype, list(shape), len(data), len(data) + size))
        data += content
    attack(f"packed/{name}.safetensors", st("{" + ",".join(header) + "}", data), sentence, expected)


def words(*numbers):
    return struct.pack(f"<{len(numbers)}i", *numbers)


def make_packed():
    gptq = {"a.qweight": ("I32", [4, 32]), "a.qzeros": ("I32", [2, 4]), "a.scales": ("F16", [2, 32]), "a.g_idx": ("I32", [32], words(*[0, 1] * 16))}
    less = lambda pieces, name: {key: value for key, value in pieces.items() if key != name}
    packed("gptq-no-scales", less(gptq, "a.scales"), "codes without scales", "undecoded:scales are missing")
    packed("gptq-no-zeros", less(gptq, "a.qzeros"), "codes without zero points", "undecoded:zero points are missing")
    packed("gptq-short-scales", gptq | {"a.scales": ("F16", [2, 24])}, "scales for fewer outputs than there are", "undecoded:width that is not read")
    packed("gptq-short-zeros", gptq | {"a.qzeros": ("I32", [1, 4])}, "zero points for fewer groups than there are", "undecoded:do not fit")
    packed("gptq-no-groups", gptq | {"a.scales": ("F16", [0, 32]), "a.qzeros": ("I32", [0, 4])}, "no group at all", "undecoded:do not fit")
    packed("gptq-many-groups", gptq | {"a.scales": ("F16", [64, 32]), "a.qzeros": ("I32", [64, 4])}, "more groups than inputs", "undecoded:do not fit")
    packed("gptq-short-index", gptq | {"a.g_idx": ("I32", [31])}, "a group index for fewer inputs than there are", "undecoded:width that is not read")
    packed("gptq-group-99", gptq | {"a.g_idx": ("I32", [32], words(*[0] * 31, 99))}, "an input in a group that is not there",
           "unreadable:input 31 is in group 99, there are 2")
    packed("gptq-group-negative", gptq | {"a.g_idx": ("I32", [32], words(-1, *[0] * 31))}, "an input in a negative group", "unreadable:group -1")
    packed("gptq-absurd", gptq | {"a.qweight": ("I32", [2**40, 0])}, "2^43 inputs and no output", "undecoded:do not fit")
    packed("gptq-one-axis", gptq | {"a.qweight": ("I32", [128])}, "codes on one axis", "undecoded:do not fit")
    packed("gptq-codes-are-floats", gptq | {"a.qweight": ("F32", [4, 32])}, "codes that are floats", "undecoded:not stored plainly")
    packed("gptq-and-plain", gptq | {"a.weight": ("F32", [32, 32])}, "a packed and a plain tensor of one name", "undecoded:another tensor has its name")
    packed("awq-eight-bits", {"a.qweight": ("I32", [32, 8]), "a.qzeros": ("I32", [2, 8]), "a.scales": ("F16", [2, 32])},
           "AWQ in eight bits, whose order nobody defined", "undecoded:order of codes")
    state = b'{"blocksize":64,"shape":[8,32]}'
    key = "a.weight.quant_state.bitsandbytes__nf4"

    def four(state, **pieces):
        return {"a.weight": ("U8", [128, 1]), "a.weight.absmax": ("F32", [4]), "a.weight.quant_map": ("F32", [16]), key: ("U8", [len(state)], state)} | pieces

    packed("nf4-no-magnitudes", less(four(state), "a.weight.absmax"), "codes without magnitudes", "undecoded:scales are missing")
    packed("nf4-no-table", less(four(state), "a.weight.quant_map"), "codes without their table", "undecoded:table of values is missing")
    packed("nf4-short-table", four(state, **{"a.weight.quant_map": ("F32", [15])}), "a table of fifteen values", "undecoded:do not fit")
    packed("nf4-short-magnitudes", four(state, **{"a.weight.absmax": ("F32", [3])}), "magnitudes for fewer blocks than there are", "undecoded:do not fit")
    packed("nf4-state-not-json", four(b"\x80\x04}q\x00."), "a state that is a pickle", "undecoded:not JSON")
    packed("nf4-state-deep", four(b'{"shape":' + b"[" * 3000), "a state that nests 3000 deep", "undecoded:not JSON")
    packed("nf4-state-long", four(b" " * 5000 + state), "a state of 5000 bytes", "undecoded:too long")
    packed("nf4-state-empty", four(b""), "a state without bytes", "undecoded:not JSON")
    packed("nf4-state-larger", four(b'{"blocksize":64,"shape":[8,64]}'), "a shape larger than the codes", "undecoded:do not fit")
    packed("nf4-state-wraps", four(b'{"blocksize":64,"shape":[4294967296,4294967296,256]}'), "a shape whose product wraps", "undecoded:shape of no tensor")
    packed("nf4-state-negative", four(b'{"blocksize":64,"shape":[-8,-32]}'), "a shape that is negative twice", "undecoded:shape of no tensor")
    packed("nf4-state-fraction", four(b'{"blocksize":64,"shape":[8.5,32]}'), "a shape with a fraction", "undecoded:shape of no tensor")
    packed("nf4-block-0", four(b'{"blocksize":0,"shape":[8,32]}'), "blocks of no element", "undecoded:block size")
    packed("nf4-block-huge", four(b'{"blocksize":1e300,"shape":[8,32]}'), "blocks of 1e300 elements", "undecoded:block size")
    nested = b'{"blocksize":64,"shape":[8,32],"nested_blocksize":256,"nested_offset":0.5}'
    packed("nf4-no-outer-table", four(nested, **{"a.weight.absmax": ("U8", [4]), "a.weight.nested_absmax": ("F32", [1])}),
           "quantised magnitudes without their table", "undecoded:table of values is missing")
    packed("nf4-offset-text", four(nested.replace(b"0.5", b'"x"')), "an offset in words", "undecoded:offset that is no number")
    packed("int8-short-scales", {"a.weight": ("I8", [8, 32]), "a.SCB": ("F32", [7])}, "scales for fewer rows than there are", "undecoded:do not fit")
    packed("int8-turned", {"a.weight": ("I8", [8, 32]), "a.SCB": ("F32", [8]), "a.weight_format": ("U8", [], b"\2")},
           "an order that only one processor knows", "undecoded:order of codes")
    packed("fp8-odd-scales", {"a.weight": ("F8_E4M3", [8, 32]), "a.weight_scale_inv": ("F32", [3, 5])}, "rectangles that tile nothing", "undecoded:do not fit")
    packed("fp8-no-scales", {"a.weight": ("F8_E4M3", [8, 32]), "a.weight_scale": ("F32", [0])}, "no scale at all", "undecoded:do not fit")
    packed("fp8-integer-scales", {"a.weight": ("F8_E4M3", [8, 32]), "a.weight_scale": ("I32", [8, 1])}, "scales that are integers", "undecoded:not stored plainly")
    packed("mxfp4-no-scales", {"a_blocks": ("U8", [8, 2, 16])}, "blocks without scales", "undecoded:scales are missing")
    packed("mxfp4-short-scales", {"a_blocks": ("U8", [8, 2, 16]), "a_scales": ("U8", [8, 1])}, "scales for fewer blocks than there are", "undecoded:do not fit")
    integers = lambda rows, cols: {"a.weight_packed": ("I32", [8, 4]), "a.weight_scale": ("F16", [8, 2]),
                                   "a.weight_shape": ("I64", [2], struct.pack("<2q", rows, cols))}
    packed("int4-shape-larger", integers(8, 320), "a shape larger than the codes", "undecoded:width that is not read")
    packed("int4-shape-huge", integers(8, 2**62), "2^62 inputs", "undecoded:do not fit")
    packed("int4-shape-negative", integers(8, -32), "a negative number of inputs", "undecoded:do not fit")
    packed("int4-ragged-groups", integers(8, 31), "groups that do not divide the inputs", "undecoded:do not fit")
    mlx = {"a.weight": ("U32", [8, 8]), "a.scales": ("F16", [8, 1]), "a.biases": ("F16", [8, 1])}
    packed("mlx-no-width", mlx | {"a.weight": ("U32", [8, 16])}, "codes whose width nobody states: four bits or eight", "undecoded:width is not stated")
    packed("mlx-odd-width", mlx | {"a.weight": ("U32", [8, 7])}, "codes of a width that does not exist", "undecoded:width is not stated")
    packed("mlx-short-biases", mlx | {"a.biases": ("F16", [8, 2])}, "offsets for other groups than the scales", "undecoded:do not fit")
    packed("mlx-no-groups", mlx | {"a.scales": ("F16", [8, 0]), "a.biases": ("F16", [8, 0])}, "no group at all", "undecoded:do not fit")
    packed("mlx-absurd", {"a.weight": ("U32", [2**40, 0]), "a.scales": ("F16", [2**40, 0]), "a.biases": ("F16", [0])}, "2^40 rows of nothing", "undecoded:do not fit")
    fp4 = {"a.weight_packed": ("U8", [8, 16]), "a.weight_scale": ("F8_E4M3", [8, 2]), "a.weight_global_scale": ("F32", [1], struct.pack("<f", 2))}
    packed("nvfp4-whole-zero", fp4 | {"a.weight_global_scale": ("F32", [1], struct.pack("<f", 0))}, "a division by a scale of zero", "undecoded:zero or no number")
    packed("nvfp4-whole-nan", fp4 | {"a.weight_global_scale": ("F32", [1], struct.pack("<f", float("nan")))}, "a scale that is no number", "undecoded:zero or no number")
    packed("nvfp4-two-wholes", fp4 | {"a.weight_global_scale": ("F32", [2])}, "two scales of the whole", "undecoded:not one number")
    packed("nvfp4-short-scales", fp4 | {"a.weight_scale": ("F8_E4M3", [8, 1])}, "scales for fewer blocks than there are", "undecoded:do not fit")
    packed("int4-no-scales", less(integers(8, 32), "a.weight_scale"), "codes without scales", "undecoded:scales are missing")


# --- NumPy -----------------------------------------------------------------------------------------------------------


def npy(descr="<f4", shape="(2,)", data=b"\0" * 8, header=None, version=1, length=None, fortran="False"):
    header = (header or f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}").encode()
    size = len(header) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) + header + data


def numpy(name, content, sentence, expected):
    attack(f"numpy/{name}", content, sentence, expected)


def deflated(entries, claimed=None):
    """A zip archive with deflated entries, whose sizes may be claimed."""
    out, directory = b"", b""
    for name, content in entries:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush()
        size = len(content) if claimed is None else claimed
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, zlib.crc32(content), len(packed), size, len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name.encode()
        out += b"PK\x03\x04" + fields + name.encode() + packed
    return out + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(out), 0)


def make_numpy():
    call = b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R."
    numpy("objects.npy", npy("|O", "(1,)", call), "an array of objects, which is a pickle that runs a program", "hazard:pickle-global")
    numpy("objects-inside.npy", npy(header="{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (1,)}", data=call),
          "objects in a field of a record", "hazard:pickle-inside")
    numpy("objects.npz", zipped([("a.npy", npy("|O", "(1,)", call))]), "the same in an archive", "hazard:pickle-global")
    numpy("objects-deflated.npz", deflated([("a.npy", npy("|O", "(1,)", call))]), "the same, compressed: scanners that look at stored bytes see nothing", "hazard:pickle-global")
    numpy("expression.npy", npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').system('id'),)}"), "a header that is an expression", "error:no number")
    numpy("call.npy", npy(header="__import__('os').system('id')"), "a header that is a call", "error:is not the literal")
    numpy("header-4-gib.npy", npy(version=2, length=2**32 - 1), "a header of 4 GiB", "error:the limit is 65536")
    numpy("header-cut.npy", npy()[:20], "a header that is cut", "error:ends at")
    numpy("data-cut.npy", npy(shape="(3,)"), "an array that ends too early", "error:the array's file ends at")
    numpy("data-behind.npy", npy(data=b"\0" * 9), "bytes behind the array", "hazard:trailing-bytes")
    numpy("version-9.npy", npy(version=9), "a version that there is not", "error:version 9")
    numpy("shape-overflow.npy", npy(shape="(4294967296, 4294967296, 2)"), "a shape whose product wraps", "error:overflows")
    numpy("shape-zero-huge.npy", npy(shape="(0, 9223372036854775807, 2)", data=b""), "a zero extent beside huge ones", "error:overflows")
    numpy("shape-negative.npy", npy(shape="(-2,)"), "a negative extent", "error:no number")
    numpy("shape-long.npy", npy(shape="(99999999999999999999999,)"), "an extent beyond 64 bits", "error:no number")
    numpy("rank-100.npy", npy(shape="(" + "1, " * 100 + ")"), "a hundred extents", "error:more than 16 extents")
    numpy("key-twice.npy", npy(header="{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}"), "a key twice: readers take the first or the last", "error:twice")
    numpy("key-unknown.npy", npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}"), "a key that the format does not have", "error:does not know")
    numpy("deep.npy", npy(header="{'descr': " + "[" * 3000), "a type that nests 3000 deep", "error:ends within a list")
    numpy("order-lies.npy", npy(fortran="Maybe"), "an order that is none", "error:neither")
    numpy("two-bytes.npy", npy("|V2", "(4,)"), "two bytes without a type, which bfloat16 is saved as", "hazard:type-by-convention")
    numpy("bomb.npz", deflated([("a.npy", b"\0" * 4096)], claimed=2**31), "an entry that claims to become 2 GiB", "error:once inflated")
    numpy("bomb-true.npz", deflated([("a.npy", npy("|u1", f"({100 << 20},)", b"\0" * (100 << 20)))]), "100 MiB of zeros in 100 KiB", "error:once inflated")
    numpy("inflates-short.npz", deflated([("a.npy", npy()[:10])], claimed=200), "an entry that becomes less than it claims", "error:broken or end")
    numpy("not-deflated.npz", deflated([("a.npy", npy())]).replace(b"PK\x03\x04", b"PK\x03\x04")[:30] + b"\xff" * 8 + deflated([("a.npy", npy())])[38:],
          "compressed bytes that are none", "error:")
    numpy("twice.npz", zipped([("a.npy", npy()), ("a.npy", npy())]), "two arrays of one name", "error:occurs twice")
    numpy("leaves.npz", zipped([("../../a.npy", npy())]), "an entry that leaves the directory", "hazard:zip-entry-path")
    numpy("not-arrays.npz", zipped([("a.npy", npy()), ("b.py", b"import os")]), "an archive with a program in it", "hazard:other-entries")
    numpy("not-an-array.npz", zipped([("a.npy", b"GGUF....")]), "an entry that is no array", "error:does not begin as a NumPy array")


# --- ONNX ------------------------------------------------------------------------------------------------------------


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor_proto(name="a", dims=(2,), kind=1, more=b"", raw=b"\0" * 8):
    return b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + (field(9, raw) if raw is not None else b"") + more


def model(graph, head=field(1, 8)):
    return head + field(7, graph) + field(8, field(2, 17))


def graph(*tensors, more=b""):
    return more + b"".join(field(5, t) for t in tensors)


def outside(**entries):
    return b"".join(field(13, field(1, key) + field(2, value)) for key, value in entries.items()) + field(14, 1)


def onnx(name, content, sentence, expected):
    attack(f"onnx/{name}.onnx", content, sentence, expected)


def make_onnx():
    away = lambda location, **more: model(graph(tensor_proto(raw=None, more=outside(location=location, **more))))
    onnx("external-parent", away("../../../etc/passwd"), "numbers in a file above the directory (CVE-2024-27318)", "hazard:external-path")
    onnx("external-absolute", away("/etc/passwd"), "numbers in a file by its absolute path", "hazard:external-path")
    onnx("external-inner-parent", away("data/../../secret"), "a path that goes down and up again", "hazard:external-path")
    onnx("external-backslash", away("..\\..\\secret"), "a path of another system", "hazard:external-path")
    onnx("external-drive", away("C:secret"), "a path on a drive", "hazard:external-path")
    onnx("external-dot", away("."), "a directory", "hazard:external-path")
    onnx("external-empty", away(""), "no path at all", "hazard:external-path")
    onnx("external-nul", away("data\0.bin"), "a path with a zero in it", "hazard:external-path")
    onnx("external-long", away("a" * 5000), "a path of 5000 bytes", "error:the limit is 4096")
    onnx("external-offset-sign", away("a.bin", offset="-8"), "a negative offset", "error:no number")
    onnx("external-offset-huge", away("a.bin", offset=str(2**64)), "an offset beyond 64 bits", "error:no number")
    onnx("external-offset-wrap", away("a.bin", offset=str(2**64 - 4)), "an offset that wraps", "error:beyond 64 bits")
    onnx("external-length", away("a.bin", length="999999999"), "a length that is not the shape's", "error:its external data has")
    onnx("graph-cut", model(graph(tensor_proto()))[:15], "a file that ends in its graph", "error:ends at")
    onnx("raw-short", model(graph(tensor_proto(raw=b"\0" * 7))), "fewer bytes than the shape needs", "error:needs 8 bytes")
    onnx("no-values", model(graph(tensor_proto(raw=None))), "a tensor without values", "error:no values")
    onnx("shape-overflow", model(graph(tensor_proto(dims=(2**32, 2**32)))), "a shape whose product wraps", "error:overflows")
    onnx("shape-negative", model(graph(tensor_proto(dims=(2**64 - 1,)))), "an extent of -1", "error:overflows")
    onnx("rank-100", model(graph(tensor_proto(dims=[1] * 100))), "a hundred extents", "error:the rank")
    onnx("twice", model(graph(tensor_proto(), tensor_proto())), "two initialisers of one name", "error:occurs twice")
    onnx("varint-long", field(1, 8) + field(7, field(5, field(1, 2) + b"\x10" + b"\xff" * 10 + b"\x01")), "a number of eleven bytes", "error:more than 64 bits")
    onnx("wire-type", model(field(5, b"\x0e\0")), "a field of a kind that there is not", "error:kind that there is not")
    onnx("group", model(field(5, b"\x0b\0")), "a group", "error:a group")
    onnx("field-0", model(field(5, b"\0\0")), "field number 0", "error:number 0")
    onnx("length-past-end", field(1, 8) + b"\x3a" + varint(2**60), "a graph of 2^60 bytes", "error:ends at")
    onnx("length-past-parent", model(field(5, b"\x4a\xff\x01")), "a tensor's bytes that leave it", "error:ends at")
    nested = field(5, tensor_proto())
    for _ in range(40):
        nested = field(1, field(2, "x") + field(5, field(6, nested)))
    onnx("deep-graphs", model(nested), "graphs in graphs, 40 deep", "error:the nesting of graphs")
    deep = b""
    for _ in range(20_000):
        deep = b"\x0a" + varint(len(deep)) + deep
    onnx("deep-messages", model(deep), "messages in messages, 20000 deep", "hazard:no-tensors")
    onnx("many-values", model(graph(tensor_proto(dims=(2**30,), kind=6, raw=None, more=field(5, b"\x01\x02")))), "2^30 elements of two numbers", "error:more than it has bytes")
    onnx("too-many-values", model(graph(tensor_proto(dims=(1,), kind=6, raw=None, more=field(5, b"\x01\x02")))), "more numbers than elements", "error:more values than its shape")
    onnx("control-name", model(graph(tensor_proto(name="a\x1b[2J"))), "a name that clears a terminal", "hazard:odd-name")
    onnx("python-operator", model(graph(tensor_proto(), more=field(1, field(2, "y") + field(4, "PyOp")))), "an operator that runs Python", "hazard:custom-operator")
    onnx("sparse", model(graph(tensor_proto()) + field(15, b"\0\0")), "a sparse tensor", "hazard:sparse-tensor")
    onnx("no-operators", field(1, 8) + field(7, graph(tensor_proto())), "a file that was cut behind its graph", "hazard:missing-operators")


# --- MessagePack -----------------------------------------------------------------------------------------------------


def mp_text(value):
    value = value.encode() if isinstance(value, str) else value
    return (bytes([0xA0 | len(value)]) if len(value) < 32 else b"\xda" + struct.pack(">H", len(value))) + value


def mp_map(*pairs, count=None):
    out = b"".join(key + value for key, value in pairs)
    return bytes([0x80 | (len(pairs) if count is None else count)]) + out


def mp_array(shape=(2,), kind="float32", data=b"\0" * 8, extension=1, size=None):
    shape = bytes([0x90 | len(shape)]) + b"".join(b"\xcf" + struct.pack(">Q", n) for n in shape)
    body = b"\x93" + shape + mp_text(kind) + b"\xc6" + struct.pack(">I", len(data) if size is None else size) + data
    return b"\xc9" + struct.pack(">I", len(body)) + bytes([extension]) + body


def msgpack(name, content, sentence, expected):
    attack(f"msgpack/{name}.msgpack", content, sentence, expected)


def make_msgpack():
    a = mp_text("a")
    one = lambda value: mp_map((a, value))
    msgpack("map-2-32", b"\xdf\xff\xff\xff\xff" + a + b"\0" * 9, "a map of 2^32 entries in a few bytes", "error:not a checkpoint")
    msgpack("inner-map-2-32", one(b"\xdf\xff\xff\xff\xff\0"), "the same within a map", "error:the file ends at")
    msgpack("list-2-32", one(b"\xdd\xff\xff\xff\xff\0"), "a list of 2^32 items", "error:the file ends at")
    msgpack("bytes-past-end", one(b"\xc6\xff\xff\xff\xff"), "4 GiB of bytes", "error:the file ends at")
    msgpack("extension-past-end", one(b"\xc9\xff\xff\xff\xff\1"), "an array of 4 GiB", "error:the file ends at")
    msgpack("inner-past-end", one(mp_array(size=99)), "an array's bytes that leave it", "error:do not end where the item ends")
    msgpack("shape-lies", one(mp_array(shape=(3,))), "a shape that needs other bytes than there are", "error:do not need the 8 bytes")
    msgpack("shape-overflow", one(mp_array(shape=(2**63, 4))), "a shape whose product wraps", "error:overflows")
    msgpack("rank-15", one(mp_array(shape=[1] * 15, data=b"\0" * 4, kind="complex256")), "an array of a type nobody knows", "hazard:unknown-dtype")
    msgpack("shape-is-text", one(b"\xc7\x0c\1\x93" + mp_text("ab") + mp_text("int8") + b"\xc4\1\0"), "a shape in words", "error:its shape is no list")
    msgpack("not-an-array", one(b"\xd4\1\x07"), "an array that is a number", "error:not a list of shape")
    msgpack("extension-99", one(b"\xd4\x63\0"), "an extension that is not Flax's", "hazard:unknown-extension")
    msgpack("deep", b"\x81\xa1a" * 5000 + b"\0", "maps in maps, 5000 deep", "error:the nesting")
    msgpack("deep-lists", one(b"\x91" * 5000 + b"\0"), "lists in lists, 5000 deep", "error:the nesting")
    msgpack("key-twice", mp_map((a, mp_array()), (a, mp_array())), "one key twice", "error:occurs twice")
    msgpack("key-is-map", mp_map((b"\x80", b"\0"), (a, mp_array())), "a key that is a map", "error:")
    msgpack("path-twice", mp_map((mp_text("a"), mp_map((mp_text("b"), mp_array()))), (mp_text("a.b"), mp_array())), "two paths to one name", "error:two paths")
    msgpack("never-used", one(b"\xc1"), "a byte that the format never uses", "error:0xc1")
    msgpack("trailing", one(mp_array()) + b"cos\nsystem\n.", "a pickle behind the map", "hazard:trailing-bytes")
    msgpack("long-key", mp_map((b"\xda\x0f\xff" + b"k" * 4095, b"\0"), (a, b"\0")), "a key of 4095 bytes", "error:")
    msgpack("objects", mp_map((mp_text("nd"), b"\xc3"), (mp_text("kind"), mp_text("O")), (mp_text("data"), mp_text("cos"))), "an array of objects as msgpack-numpy has them: a pickle", "hazard:pickle-inside")
    chunks = lambda shape, parts: one(mp_map((mp_text("__msgpack_chunked_array__"), b"\xc3"), (mp_text("shape"), mp_map(*[(mp_text(str(i)), bytes([n])) for i, n in shape])),
                                             (mp_text("chunks"), mp_map(*[(mp_text(str(i)), part) for i, part in parts]))))
    msgpack("chunks-lie", chunks([(0, 5)], [(0, mp_array()), (1, mp_array())]), "chunks that are not the shape's", "error:do not need the 16 bytes")
    msgpack("chunk-missing", chunks([(0, 4)], [(0, mp_array()), (2, mp_array())]), "a chunk that is not there", "error:without gaps")
    msgpack("chunk-types", chunks([(0, 4)], [(0, mp_array()), (1, mp_array(kind="int32"))]), "chunks of different types", "error:different types")
    msgpack("chunk-none", chunks([(0, 4)], []), "an array without chunks", "error:without gaps")


# --- files that are not read, and templates ----------------------------------------------------------------------------


def make_others():
    tar = b"sys_info".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300
    attack("others/legacy.tar.pt", tar, "a tar archive, the container through which `weights_only` was got round (CVE-2025-32434)", "error:tar archive, as PyTorch before 0.1.10")
    attack("others/model.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "an HDF5 file, whose links and outside storage lead to any file (CVE-2026-1669)", "error:HDF5 file")
    attack("others/model.keras", zipped([("config.json", b'{"class_name":"Lambda"}'), ("model.weights.h5", b"\x89HDF")]), "a Keras archive, whose configuration may hold code (CVE-2025-1550)", "error:Keras archive")
    attack("others/variables.index", b"\0" * 40 + struct.pack("<Q", 0xDB4775248B80FB57), "the index of a TensorFlow checkpoint", "error:TensorFlow checkpoint")
    attack("others/model.7z.bin", b"7z\xbc\xaf\x27\x1c" + b"\0" * 40, "a 7z archive under the name of weights: a way past scanners", "error:7z archive")
    attack("others/model.gz.bin", b"\x1f\x8b\x08" + b"\0" * 40, "a gzip stream under the name of weights", "error:gzip")
    attack("others/pickle.bin", b"\x80\x04\x95\x05\0\0\0\0\0\0\0}.", "a bare pickle", "error:pickle without a PyTorch header")
    attack("others/pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer in place of weights", "error:git-lfs pointer")
    attack("others/program.bin", b"\x7fELF" + b"\0" * 60, "a program under the name of weights", "error:executable")
    template = lambda name, text, sentence, expected: attack(f"templates/{name}.tokenizer_config.json", __import__("json").dumps({"chat_template": text}).encode(), sentence, expected)
    template("class", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "attributes of the interpreter (CVE-2024-34359)", "hazard:suspicious-chat-template")
    template("escaped", "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}", "the same, spelled with escapes", "hazard:suspicious-chat-template")
    template("joined", "{{ x['_' ~ '_class_' ~ '_'] }}", "the same, put together", "hazard:suspicious-chat-template")
    template("attr", "{{ x|attr('y') }}", "an attribute by a filter", "hazard:suspicious-chat-template")
    template("include", "{% include '/etc/passwd' %}", "a file of the loader", "hazard:suspicious-chat-template")
    template("endless", "{% for i in range(10**9) %}{% for j in range(10**9) %}{% endfor %}{% endfor %}", "a loop without an end", "hazard:suspicious-chat-template")
    template("hidden", "{{ bos }}Be helpful.\u200b\U000e0049\U000e0067 ", "words that nobody sees", "hazard:hidden-text")
    attack("templates/named.tokenizer_config.json", b'{"chat_template":[{"name":"default","template":"x"},{"name":"tool_use","template":"{{ x.__init__ }}"}]}',
           "a second template that a scanner of the first misses", "hazard:suspicious-chat-template")
    attack("templates/code.tokenizer_config.json", b'{"auto_map":{"AutoTokenizer":["t.T",null]}}', "a tokenizer that is code", "hazard:remote-code")
    attack("templates/deep.tokenizer_config.json", b'{"chat_template":' + b"[" * 5000, "lists in lists, 5000 deep", "error:too deeply")


for make in [make_safetensors, make_gguf, make_pickles, make_tensors, make_zips, make_streams, make_shards, make_json, make_packed, make_numpy, make_onnx, make_msgpack, make_others]:
    make()
lines = ["file\twhat it does\texpected\n"] + ["\t".join(row) + "\n" for row in sorted(table)]
(HERE / "EXPECT.tsv").write_text("".join(lines), encoding="utf-8")
print(len(table), "attacks,", sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()), "bytes")
