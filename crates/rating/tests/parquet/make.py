"""Writes votes as Parquet with four writers, and beside them as JSON Lines, which the test holds them against.

Needs pyarrow, duckdb, polars, pandas and fastparquet; versions are printed. Run in this folder.
"""
import datetime, json, random, uuid

import duckdb, fastparquet, pandas, polars, pyarrow, pyarrow.parquet

print({m.__name__: m.__version__ for m in (duckdb, fastparquet, pandas, polars, pyarrow)})
draw = random.Random(1)
names = ["ada", "boole", "cantor", "dedekind, r.", "éuler"]
start = datetime.datetime(2025, 6, 28, 12, 0, 0)


def vote(i):
    a, b = draw.sample(names, 2)
    return {
        "id": i,
        "model_a": a,
        "model_b": b,
        "winner": draw.choice(["model_a", "model_b", "tie", "both_bad"]),
        "evaluation_session_id": str(uuid.UUID(int=draw.getrandbits(6) << 64)),
        "timestamp": start + datetime.timedelta(hours=3 * i, microseconds=draw.choice([0, 250])),
        "conversation_a": [{"role": "user", "content": [{"type": "text", "text": "q" * draw.randrange(9)}]}],
        "conv_metadata": {
            "sum_assistant_a_tokens": draw.randrange(900),
            "sum_assistant_b_tokens": draw.randrange(900),
            "header_count_a": {"h1": draw.randrange(3), "h2": draw.choice([None, 2])},
            "header_count_b": {"h1": draw.randrange(3), "h2": draw.randrange(3)},
        },
        "weight": draw.choice([0.5, 1.0, 2.25]),
    }


votes = [vote(i) for i in range(60)]


def lines(name, rows):
    with open(name, "w") as out:
        for row in rows:
            row = {k: v.isoformat() if isinstance(v, datetime.datetime) else v for k, v in row.items()}
            out.write(json.dumps(without(row), ensure_ascii=False) + "\n")


def without(value):
    """What is null in a group is no field of an object."""
    return {k: without(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None}


lines("arena.jsonl", votes)
arena = pyarrow.Table.from_pylist(votes)
# Dictionaries, four row groups, snappy.
pyarrow.parquet.write_table(arena, "arena-pyarrow.parquet", row_group_size=17, compression="snappy")
# Second page version, gzip, small pages, delta encodings instead of dictionaries, times in twelve bytes.
pyarrow.parquet.write_table(
    arena, "arena-pages.parquet", compression="gzip", data_page_version="2.0", data_page_size=128,
    use_dictionary=False, column_encoding={"model_a": "DELTA_BYTE_ARRAY", "model_b": "DELTA_LENGTH_BYTE_ARRAY",
                                           "winner": "DELTA_BYTE_ARRAY", "id": "DELTA_BINARY_PACKED"},
    use_deprecated_int96_timestamps=True)
# DuckDB: UUID in sixteen bytes, decimals, an enum, zstd.
duckdb.sql(
    "COPY (SELECT id::UINTEGER AS id, model_a, model_b, winner::ENUM('model_a','model_b','tie','both_bad') AS winner,"
    " evaluation_session_id::UUID AS evaluation_session_id, timestamp, conv_metadata, weight::DECIMAL(4,2) AS weight"
    " FROM arena ORDER BY id) TO 'arena-duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)")

paired = [
    {"model_a_name": v["model_a"], "model_b_name": v["model_b"],
     "chosen_model_name": {"model_a": v["model_a"], "model_b": v["model_b"]}.get(v["winner"]),
     "both_equal": v["winner"] in ("tie", "both_bad"), "visitor_id": v["evaluation_session_id"][:18]}
    for v in votes]
with open("comparia.jsonl", "w") as out:
    for row in paired:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
polars.DataFrame(paired).write_parquet("comparia-polars.parquet")

sides = [{"left": v["model_a"], "right": v["model_b"],
          "winner": {"model_a": "left", "model_b": "right"}.get(v["winner"], "tie"), "count": v["id"] % 4}
         for v in votes]
with open("sides.jsonl", "w") as out:
    for row in sides:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
fastparquet.write("sides-fastparquet.parquet", pandas.DataFrame(sides), compression=None)

# Row 41 is no vote; row groups of 16.
spoilt = [dict(v, winner="invalid" if v["id"] == 40 else v["winner"]) for v in votes]
pyarrow.parquet.write_table(
    pyarrow.Table.from_pylist(spoilt).select(["model_a", "model_b", "winner", "conversation_a"]),
    "spoilt.parquet", row_group_size=16)
