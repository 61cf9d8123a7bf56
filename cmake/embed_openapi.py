#!/usr/bin/python3
"""Turns docs/openapi.yaml into a C file that holds it as compact JSON.

usage: embed_openapi.py INPUT.yaml OUTPUT.c

The file defines `const char openapi_json[]` (NUL-terminated) and `const size_t openapi_json_size`
(without the NUL). Keys that YAML 1.1 reads as something else than text (on, yes, 200) are refused,
so that nothing is renamed silently.
"""
import json
import sys

import yaml


def check_keys(value, path="$"):
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SystemExit(f"embed_openapi: {path}: quote the key {key!r}")
            check_keys(item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            check_keys(item, f"{path}[{i}]")


def c_array(data, width=20):
    rows = (data[i : i + width] for i in range(0, len(data), width))
    return "\n".join("\t" + "".join(f"{byte}," for byte in row) for row in rows)


def main():
    source, target = sys.argv[1:3]
    with open(source, encoding="utf-8") as stream:
        document = yaml.safe_load(stream)
    check_keys(document)
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\0"
    with open(target, "w", encoding="utf-8") as stream:
        stream.write(
            "/* Made from docs/openapi.yaml by cmake/embed_openapi.py. */\n#include <stddef.h>\n\n"
            "extern const char openapi_json[];\nextern const size_t openapi_json_size;\n\n"
            f"const char openapi_json[] = {{\n{c_array(data)}\n}};\n"
            f"const size_t openapi_json_size = {len(data) - 1};\n"
        )


if __name__ == "__main__":
    main()
