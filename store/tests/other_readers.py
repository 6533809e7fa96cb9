"""Reads a generation with one package and compares it with what was written.

Usage: other_readers.py {pyarrow|duckdb|polars} EXPECTED, a JSON file made by other_readers.rs.
"""

import glob
import json
import sys

package, path = sys.argv[1:]
expected = json.load(open(path))
parts = sorted(glob.glob(expected["glob"]))
assert parts, "the glob finds nothing"
columns = expected["columns"]


def size(shape):
    product = 1
    for dim in shape:
        product *= dim
    return product


def compare(name, found, wanted):
    assert found == wanted, f"{name}: {str(found)[:200]} is not {str(wanted)[:200]}"


def compare_rows(rows):
    """`rows`: dicts of plain Python values, tensors as flat lists."""
    compare("ids", [row["id"] for row in rows], expected["ids"])
    compare("labels", [row["label"] for row in rows], expected["labels"])
    compare("sources", [row["source"] for row in rows], expected["sources"])
    for name, values in expected["attributes"].items():
        compare(name, [row[name] for row in rows], values)
    for column in columns:
        if column["scaled"]:
            name, channels = column["name"], column["shape"][-1]
            for row in rows:
                scales = row[name + "_scale"]
                assert len(scales) == channels, scales
                row[name] = [q * scales[i % channels] for i, q in enumerate(row[name])]
        # JSON prints an f32 in as few digits as tell it from others: compare as f32.
        compare(
            column["name"],
            [[as_f32(value) for value in row[column["name"]]] for row in rows],
            [[as_f32(value) for value in row] for row in column["rows"]],
        )


def as_f32(value):
    import struct

    return struct.unpack("f", struct.pack("f", value))[0]


def flat(value):
    return [x for inner in value for x in flat(inner)] if isinstance(value, list) else [value]


if package == "pyarrow":
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [pq.ParquetFile(part, page_checksum_verification=True).read() for part in parts]
    table = pa.concat_tables(tables)
    for column in columns:
        kind = table.schema.field(column["name"]).type
        assert isinstance(kind, pa.FixedShapeTensorType), kind
        compare("shape", list(kind.shape), column["shape"])
        compare("dims", list(kind.dim_names), [f"d{i}" for i in range(len(column["shape"]))])
        tensor = table[column["name"]].combine_chunks().to_numpy_ndarray()
        compare("tensor", list(tensor.shape), [len(expected["ids"])] + column["shape"])
    names = [c["name"] for c in columns] + [c["name"] + "_scale" for c in columns if c["scaled"]]
    storage = {n: [x for chunk in table[n].chunks for x in chunk.storage.to_pylist()] for n in names}
    keys = table.select(["id", "label", "source", *expected["attributes"]]).to_pylist()
    compare_rows([row | {n: v[i] for n, v in storage.items()} for i, row in enumerate(keys)])
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    compare("class names", features["label"]["names"], expected["names"])
    # A folder read as a dataset is the same rows: our notes in it begin with a dot.
    import os

    whole = pq.read_table(os.path.dirname(expected["glob"]))
    compare("rows of the folder", whole.num_rows, len(expected["ids"]))
elif package == "duckdb":
    import duckdb

    result = duckdb.sql(f"select * from read_parquet('{expected['glob']}') order by id")
    compare_rows([
        {name: list(value) if isinstance(value, tuple) else value
         for name, value in zip(result.columns, row)}
        for row in result.fetchall()
    ])
elif package == "polars":
    import polars as pl

    frame = pl.read_parquet(expected["glob"])
    rows = frame.to_dicts()
    for row in rows:
        for column in columns:
            value = row[column["name"]]
            row[column["name"]] = flat(value.to_list() if hasattr(value, "to_list") else value)
            compare("size", len(row[column["name"]]), size(column["shape"]))
            if column["scaled"]:
                scales = row[column["name"] + "_scale"]
                scales = scales.to_list() if hasattr(scales, "to_list") else scales
                row[column["name"] + "_scale"] = flat(scales)
    compare_rows(rows)
else:
    sys.exit(f"unknown package {package}")
