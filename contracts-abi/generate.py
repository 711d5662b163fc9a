#!/usr/bin/env python3
"""contracts-abi/generate.py - writes the headers of constants from the ABI files beside it.

usage: python3 contracts-abi/generate.py          write the headers
       python3 contracts-abi/generate.py --check  exit 1 when a header is not what would be written

MeasurementRegistry.json (from compile.mjs) becomes registry_abi.h and registry_code.h; each NAME.json of
OTHERS, written by hand, becomes NAME_abi.h. Such a file has three members: "abi", Solidity's ABI JSON of what
we use and no more; "hashed", texts whose hash is a constant; "interfaces", ERC-165 ids by the functions they are made of.

Needs nothing but Python's standard library, and only to generate again: the headers are checked in. The
Keccak below is a third one beside js-sha3 (compile.mjs) and nettle (eth/keccak.c, with which
tests/unit/source/contracts_abi_test.c checks every constant).
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1
OTHERS = ("common", "dstack", "flashtestations", "safe", "timelock", "multicall")


def rol(x, n):
    n %= 64
    return ((x << n) | (x >> (64 - n))) & MASK if n else x


def permute(a):
    """Keccak-f[1600], FIPS 202 3.3, on a[x][y]."""
    lfsr = 1
    for _ in range(24):
        c = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        d = [c[(x + 4) % 5] ^ rol(c[(x + 1) % 5], 1) for x in range(5)]
        a = [[a[x][y] ^ d[x] for y in range(5)] for x in range(5)]
        x, y, lane = 1, 0, a[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            lane, a[x][y] = a[x][y], rol(lane, (t + 1) * (t + 2) // 2)
        for y in range(5):
            row = [a[x][y] for x in range(5)]
            for x in range(5):
                a[x][y] = row[x] ^ (~row[(x + 1) % 5] & MASK & row[(x + 2) % 5])
        for j in range(7):
            lfsr = ((lfsr << 1) ^ ((lfsr >> 7) * 0x71)) & 0xFF
            if lfsr & 2:
                a[0][0] ^= 1 << ((1 << j) - 1)
    return a


def keccak256(data):
    rate = 136
    data = bytearray(data) + b"\x01"
    data += b"\0" * (-len(data) % rate)
    data[-1] |= 0x80
    a = [[0] * 5 for _ in range(5)]
    for block in range(0, len(data), rate):
        for i in range(rate // 8):
            at = block + 8 * i
            a[i % 5][i // 5] ^= int.from_bytes(data[at : at + 8], "little")
        a = permute(a)
    return b"".join(a[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def type_text(p):
    """The canonical type of an ABI parameter: tuples written out."""
    if not p["type"].startswith("tuple"):
        return p["type"]
    return "(" + ",".join(map(type_text, p["components"])) + ")" + p["type"][5:]


def signature(entry):
    return entry["name"] + "(" + ",".join(map(type_text, entry["inputs"])) + ")"


def macro(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()


def names(entries):
    """(macro name, entry), sorted; overloads are told apart by their parameter types."""
    every = [e["name"] for e in entries]
    for entry in sorted(entries, key=lambda e: e["name"]):
        name = macro(entry["name"])
        if every.count(entry["name"]) > 1:
            types = [re.sub(r"\W+", "_", type_text(p)).strip("_").upper() for p in entry["inputs"]]
            name = "_".join([name] + types)
        yield name, entry


def struct_text(p):
    """EIP-712 encodeType of a struct without nested structs."""
    name = p["internalType"].split(".")[-1].split("[")[0]
    return name, name + "(" + ",".join(c["type"] + " " + c["name"] for c in p["components"]) + ")"


def initialiser(value, outer):
    lines, line = [], ""
    for i, byte in enumerate(value):
        piece = "0x%02x" % byte + (", " if i + 1 < len(value) else "")
        if len(line) + len(piece) > 92:
            lines.append(line.rstrip())
            line = ""
        line += piece
    body = (" " + "\\\n        ").join(lines + [line]) if lines else line
    return ("{{%s}}" if outer else "{%s}") % body


def define(name, value):
    text = "#define %s %s" % (name, value)
    if len(text) <= 96 and "\n" not in text:
        return text
    return "#define %s \\\n    %s" % (name, value)


def string(text, width=84):
    """A C string, cut into pieces that fit a line."""
    pieces = [text[i : i + width] for i in range(0, len(text), width)]
    return " \\\n    ".join('"%s"' % p for p in pieces)


def params(entries):
    return ",".join(map(type_text, entries))


def all_of(prefix, rows):
    return "#define %s_ALL(X) \\\n    %s" % (prefix, " \\\n    ".join("X(%s)" % name for name in rows))


def section(title, prefix, entries, size):
    out = ["", "/* %s */" % title]
    for name, entry in names(entries):
        text = signature(entry)
        out.append(define("%s_TEXT_%s" % (prefix, name), string(text)))
        out.append(define("%s_%s" % (prefix, name), initialiser(keccak256(text.encode())[:size], size == 32)))
    return out + [all_of(prefix, [name for name, _ in names(entries)])]


def hashed(prefix, texts):
    out = ["", "/* keccak256 of the text */"]
    for name, text in sorted(texts.items()):
        out.append(define("%s_TEXT_%s" % (prefix, name), string(text)))
        out.append(define("%s_%s" % (prefix, name), initialiser(keccak256(text.encode()), True)))
    return out + [all_of(prefix, sorted(texts))]


def interface_id(signatures):
    value = 0
    for text in signatures:
        value ^= int.from_bytes(keccak256(text.encode())[:4], "big")
    return value.to_bytes(4, "big")


def interfaces(prefix, table):
    out = ["", "/* ERC-165 ids: the selectors of the functions, xored */"]
    for name, signatures in sorted(table.items()):
        out.append(define("%s_TEXT_%s" % (prefix, name), string(" ".join(signatures))))
        out.append(define("%s_%s" % (prefix, name), initialiser(interface_id(signatures), False)))
    return out + [all_of(prefix, sorted(table))]


def render_other(name, contract):
    """The header of a contract that is not ours."""
    prefix = name.upper()
    kinds = lambda kind: [e for e in contract["abi"] if e["type"] == kind]
    out = [
        "/* contracts-abi/%s_abi.h - constants of contracts-abi/%s.json." % (name, name),
        " * For %s." % contract["about"],
        " * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */",
        "#ifndef MS_CONTRACTS_%s_ABI_H" % prefix,
        "#define MS_CONTRACTS_%s_ABI_H" % prefix,
        "",
        "/* clang-format off */",
    ]
    out += section("selectors: first 4 bytes of keccak256 of the text", prefix + "_CALL", kinds("function"), 4)[1:]
    if kinds("event"):
        out += section("topic 0 of events", prefix + "_EVENT", kinds("event"), 32)
    if "hashed" in contract:
        out += hashed(prefix + "_HASH", contract["hashed"])
    if "interfaces" in contract:
        out += interfaces(prefix + "_INTERFACE", contract["interfaces"])
    out += ["", "/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */"]
    for key, entry in names(kinds("function")):
        if entry["inputs"]:
            out.append(define("%s_ARGS_%s" % (prefix, key), string(params(entry["inputs"]))))
        out.append(define("%s_RETURNS_%s" % (prefix, key), string(params(entry["outputs"]))))
    for key, entry in names(kinds("event")):
        data = [p for p in entry["inputs"] if not p["indexed"]]
        if data:
            out.append(define("%s_LOG_DATA_%s" % (prefix, key), string(params(data))))
    return "\n".join(out + ["", "#endif", ""])


def render(contract):
    abi = contract["abi"]
    kinds = lambda kind: [e for e in abi if e["type"] == kind]
    functions = {e["name"]: e for e in kinds("function")}
    code = bytes.fromhex(contract["deployedBytecode"][2:])
    assert "0x" + keccak256(code).hex() == contract["deployedBytecodeKeccak256"]
    out = [
        "/* contracts-abi/registry_abi.h - constants of contracts-abi/MeasurementRegistry.json.",
        " * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */",
        "#ifndef MS_CONTRACTS_REGISTRY_ABI_H",
        "#define MS_CONTRACTS_REGISTRY_ABI_H",
        "",
        "/* clang-format off */",
        "/* keccak256 of the contract's code: %d bytes, the same on every chain */" % len(code),
        define("REGISTRY_CODE_HASH", initialiser(keccak256(code), True)),
    ]
    own = [e for e in kinds("function") if e["name"] != "supportsInterface" and "TYPEHASH" not in e["name"]]
    out += [
        "/* ERC-165 id of IMeasurementRegistry */",
        define("REGISTRY_INTERFACE_ID", initialiser(interface_id(map(signature, own)), False)),
    ]
    out += section("selectors: first 4 bytes of keccak256 of the text", "REGISTRY_CALL", kinds("function"), 4)
    out += section("topic 0 of events", "REGISTRY_EVENT", kinds("event"), 32)
    out += section("selectors of errors", "REGISTRY_ERROR", kinds("error"), 4)
    out += ["", "/* EIP-712 types; frozen */"]
    types = []
    for p in functions["snapshot"]["outputs"]:
        name, text = struct_text(p)
        types.append(name.upper())
        out.append(define("REGISTRY_TYPE_TEXT_%s" % name.upper(), string(text)))
        out.append(define("REGISTRY_TYPE_%s" % name.upper(), initialiser(keccak256(text.encode()), True)))
    out.append(all_of("REGISTRY_TYPE", types))
    out += ["", "/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */"]
    for e in kinds("constructor"):
        out.append(define("REGISTRY_ARGS_CONSTRUCTOR", string(params(e["inputs"]))))
    for key, e in names(kinds("function")):
        if e["stateMutability"] == "nonpayable" and e["inputs"]:
            out.append(define("REGISTRY_ARGS_%s" % key, string(params(e["inputs"]))))
    for key, e in names(kinds("error")):
        out.append(define("REGISTRY_ARGS_ERROR_%s" % key, string(params(e["inputs"]))))
    for name in ("snapshot", "snapshotWithPayloads", "release"):
        out.append(define("REGISTRY_RETURNS_%s" % macro(name), string(params(functions[name]["outputs"]))))
    for e in kinds("event"):
        if e["name"] == "HistoryAppended":
            text = params(p for p in e["inputs"] if not p["indexed"])
            out.append(define("REGISTRY_LOG_DATA_HISTORY_APPENDED", string(text)))
    out += ["", "#endif", ""]
    return "\n".join(out)


def render_code(contract):
    """The creation code, as text: the tool that writes deployments holds it."""
    code = bytes.fromhex(contract["bytecode"][2:])
    assert "0x" + keccak256(code).hex() == contract["bytecodeKeccak256"]
    out = [
        "/* contracts-abi/registry_code.h - creation code of contracts-abi/MeasurementRegistry.json.",
        " * Made by contracts-abi/generate.py; do not edit. */",
        "#ifndef MS_CONTRACTS_REGISTRY_CODE_H",
        "#define MS_CONTRACTS_REGISTRY_CODE_H",
        "",
        "/* clang-format off */",
        "/* keccak256 of it */",
        define("REGISTRY_CREATION_HASH", initialiser(keccak256(code), True)),
        "#define REGISTRY_CREATION_BYTES %d" % len(code),
        "/* hexadecimal, without 0x; the constructor's arguments follow it */",
        "#define REGISTRY_CREATION_CODE \\\n    %s" % string(code.hex()),
        "",
        "#endif",
        "",
    ]
    return "\n".join(out)


def load(name):
    with open(os.path.join(HERE, name), encoding="ascii") as f:
        return json.load(f)


def main():
    registry = load("MeasurementRegistry.json")
    headers = {"registry_abi.h": render(registry), "registry_code.h": render_code(registry)}
    for name in OTHERS:
        headers[name + "_abi.h"] = render_other(name, load(name + ".json"))
    stale = []
    for name, text in headers.items():
        path = os.path.join(HERE, name)
        if sys.argv[1:] == ["--check"]:
            with open(path, encoding="ascii") as f:
                if f.read() != text:
                    stale.append("contracts-abi/%s is stale: run contracts-abi/generate.py" % name)
        else:
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
    if stale:
        sys.exit("\n".join(stale))


main()
