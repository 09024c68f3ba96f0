"""Emitted Verilog as modules and their instances, so that each distinct module is synthesised once.

`accel.rtl` writes a module an instance in many places: queues, banks and columns are there several times under several
names. What follows here changes no logic: modules with parameters get a module for each set of values, and modules that
differ in names alone become one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from accel.models.errors import InputError

_MODULE = re.compile(r"^module\s+(\w+)\s*(#\(.*?\)\s*)?\((.*?)\)\s*;(.*?)^endmodule", re.M | re.S)
_INSTANCE = re.compile(r"^  (\w+)\s+(?:#\(([^;]*?)\)\s*)?(\w+)\s*\(\n([^;]*?)\n?  \);", re.M)
_CONNECTION = re.compile(r"(?<![\w.])\.(\w+)\s*\(")
_DECLARED = re.compile(r"\binput\b")  # a port where it is named; none of the ports' own names
_VALUE = re.compile(r"\.(\w+)\((?:\d+'s?d)?(\d+)\)")
_SIMULATION = re.compile(r"^`ifndef SYNTHESIS\n.*?^`endif\n", re.M | re.S)
_WORD = re.compile(r"\d+'[a-z0-9]+|\"[^\"]*\"|[A-Za-z_]\w*")
_SPACE = re.compile(r"\s*([^\w\s])\s*")
_DECLARATION = re.compile(r"^\s*(?:input|output|wire|reg)\b")
_COMMENT = re.compile(r"//[^\n]*|\(\*.*?\*\)", re.S)
_VERILOG = frozenset(
    [
        "module",
        "endmodule",
        "input",
        "output",
        "wire",
        "reg",
        "assign",
        "always",
        "posedge",
        "negedge",
        "or",
        "if",
        "else",
        "begin",
        "end",
        "case",
        "casez",
        "endcase",
        "default",
        "signed",
        "initial",
        "integer",
        "for",
        "parameter",
        "localparam",
        "full_case",
        "parallel_case",
    ]
)


@dataclass(frozen=True)
class Instance:
    """A module inside another one."""

    module: str
    name: str


@dataclass(frozen=True)
class Part:
    """A Verilog module: its text, its ports in order, what it instantiates."""

    name: str
    text: str
    ports: tuple[str, ...]
    instances: tuple[Instance, ...]

    @property
    def stub(self) -> str:
        """The module without its inside."""
        found = _MODULE.search(self.text)
        assert found
        if _DECLARED.search(found[3]):  # the ports are declared where they are named
            return f"(* blackbox *)\n{self.text[: found.start(4)]}\nendmodule\n"
        lines = [line for line in found[4].splitlines() if re.match(r"\s*(?:input|output)\b", line)]
        return "\n".join([f"(* blackbox *)\nmodule {self.name}({found[3]});", *lines, "endmodule\n"])


@dataclass(frozen=True)
class Tree:
    """All modules by name, and the one at the top.

    `keys`: for each a name of its logic, equal for modules that differ in names alone, whatever design has them.
    """

    parts: dict[str, Part]
    top: str
    keys: dict[str, str]

    def paths(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Every instance: the names on the way from the top to it, and its module."""
        waiting: list[tuple[tuple[str, ...], str]] = [((), self.top)]
        while waiting:
            path, module = waiting.pop()
            yield path, module
            waiting += [((*path, each.name), each.module) for each in self.parts[module].instances]


def parse(text: str, top: str) -> Tree:
    """The modules of a Verilog text below `top`, each distinct one once. Raises InputError if `top` is not there."""
    found = {match[1]: match[0] for match in _MODULE.finditer(_SIMULATION.sub("", text))}
    if top not in found:
        raise InputError(f"the Verilog must have a module {top}, and has none")
    parts: dict[str, Part] = {}
    first: dict[str, str] = {}  # module of each key
    keys: dict[str, str] = {}

    def add(name: str, text: str) -> str:
        """Takes in what is below, then the module; returns the name of the module that stands for it."""
        instances = []

        def inner(match: re.Match[str]) -> str:
            module, values, instance, connections = match.groups()
            if module not in found:
                return match[0]
            body, title = found[module], module
            if values is not None:
                chosen = dict(_VALUE.findall(values))
                title = "_".join([module, *(f"{key.lower()}{value}" for key, value in sorted(chosen.items()))])
                body = _specialised(body, module, title, chosen)
            kept = done[title] if title in done else done.setdefault(title, add(title, body))
            instances.append(Instance(kept, instance))
            names = dict(zip(ports_of(title, body), parts[kept].ports, strict=True))
            connections = _CONNECTION.sub(lambda found: f".{names[found[1]]}(", connections)
            return f"  {kept} {instance} (\n{connections}\n  );"

        text = _INSTANCE.sub(inner, text)
        part = Part(name, text, ports_of(name, text), tuple(instances))
        key = _key(part, keys, parts)
        if key in first:
            return first[key]
        first[key], keys[name], parts[name] = name, key, part
        return name

    done: dict[str, str] = {}
    return Tree(parts, add(top, found[top]), keys)


def ports_of(name: str, text: str) -> tuple[str, ...]:
    """The ports of a module in order."""
    found = _MODULE.search(text)
    assert found, name
    return tuple(re.split(r"[\s\]]+", port.strip())[-1] for port in found[3].split(","))


def _specialised(text: str, module: str, title: str, values: dict[str, str]) -> str:
    """A module with parameters as one without: their values are its defaults."""
    text = re.sub(rf"^module\s+{module}\b", f"module {title}", text, flags=re.M)
    for name, value in values.items():
        text = re.sub(rf"(parameter\s+{name}\s*=\s*)\w+", rf"\g<1>{value}", text)
    return text


def _key(part: Part, keys: dict[str, str], parts: dict[str, Part]) -> str:
    """A hash of the text with all names replaced by numbers; what it instantiates goes in by key."""
    numbers: dict[str, str] = {port: f"p{k}" for k, port in enumerate(part.ports)}

    def named(match: re.Match[str]) -> str:
        word = match[0]
        if word in _VERILOG or word[0].isdigit() or word[0] == '"':
            return word
        return numbers.setdefault(word, f"v{len(numbers)}")

    def instance(match: re.Match[str]) -> str:
        module, _, _, connections = match.groups()
        if module not in keys:
            return match[0]
        places = {port: k for k, port in enumerate(parts[module].ports)}
        wired = sorted(
            (places[port], value) for port, value in re.findall(r"\.(\w+)\s*\(((?:[^()]|\([^()]*\))*)\)", connections)
        )
        return f" @{keys[module]} " + ";".join(f"{place}:{value}" for place, value in wired)

    body = _INSTANCE.sub(instance, _COMMENT.sub("", part.text[part.text.index(";") :]))
    lines = [_SPACE.sub(r"\1", " ".join(line.split())) for line in body.splitlines()]
    logic = [_WORD.sub(named, line) for line in lines if line and not _DECLARATION.match(line)]
    declared = sorted(_WORD.sub(named, line) for line in lines if line and _DECLARATION.match(line))
    head = " ".join(_COMMENT.sub("", part.text[: part.text.index(";")]).split()[2:])
    head = _WORD.sub(named, head) if _DECLARED.search(head) else ""  # else ports are declared behind it
    return hashlib.sha256("\n".join([head, *logic, *declared]).encode()).hexdigest()[:16]
