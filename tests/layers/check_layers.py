#!/usr/bin/env python3
"""Hold the code to its layers: check_layers.py [--figures] [DIRECTORY]

Reads the includes and the names of every C file in src/ and stub/ (DIRECTORY: a source tree, default this one) and
complains, one line each,

    layer     a file uses a file of a layer that is none of those below its own
    passes    a file gets to see, by the headers that it includes, one that its own layer may not use although the
              headers' layers may: a front that includes a header of space sees nothing of upstream
    circle    files that use each other, directly or over others
    internal  a header of several files' private matters (*_internal.h, *_inside.h)

A header and the .c file of the same name are one file here. A file uses another when it includes its header, or calls a
function that the other defines, whichever header declares it: a circle cannot hide behind a third header. Exit code 1
when there is a complaint, 2 when the tree cannot be read. --figures adds the counts.
"""

import os
import re
import sys

# Each layer, and those that its files may use besides their own. What a layer may use, it may use of these only: a
# layer that is not named is not allowed. The first prefix that fits decides, so longer ones come first.
_LINK = ("src/upstream/types", "src/upstream/run_state", "src/rsp/", "src/base/")
_MACHINE = ("src/upstream/link/", "src/upstream/found", *_LINK)
_RUN = ("src/upstream/machine/", *_MACHINE)
_WAYS = ("src/upstream/translate/", *_RUN)
_UPSTREAM = ("src/upstream/target", "src/upstream/ways/", "src/upstream/run/", *_WAYS)
_FRONT = ("src/space/", "src/base/", "include/")
LAYERS = (
    ("include/", ()),
    ("src/base/", ()),
    ("src/wire/", ("src/base/", "include/")),
    ("src/rsp/", ("src/base/",)),
    ("src/upstream/types", ()),
    ("src/upstream/found", ()),
    ("src/upstream/run_state", ("src/upstream/types", "src/base/")),
    ("src/upstream/target", ("src/upstream/types",)),
    ("src/upstream/link/", _LINK),
    ("src/upstream/machine/", _MACHINE),
    ("src/upstream/run/", _RUN),
    ("src/upstream/translate/", _RUN),
    ("src/upstream/ways/", _WAYS),
    ("src/upstream/", _UPSTREAM),
    ("src/space/", ("src/upstream/target", "src/upstream/types", "src/rsp/", "src/base/", "include/")),
    ("src/rpc/", ("src/wire/", *_FRONT)),
    ("stub/", ("src/rsp/", *_FRONT)),
    ("src/client/", ("src/wire/", "src/base/", "include/")),
    ("src/daemon/", ("src/rpc/", "stub/", "src/upstream/", "src/wire/", *_FRONT, *_UPSTREAM)),
)

# Layers whose files see what they may not use neither directly nor by the headers of others.
SEALED = ("src/rpc/", "stub/")
# ... of these layers.
HIDDEN = "src/upstream/"

_NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_ATTRIBUTE = re.compile(r"__attribute__\(\((?:[^()]|\([^()]*\))*\)\)")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)
# A definition begins in the first column and its body with a brace in the first column.
_DEFINITION = re.compile(r"^(?!static\b|typedef\b|#|\})[A-Za-z_][^;{}#]*?\b([A-Za-z_]\w*)\([^;{}]*\)\s*\n\{", re.MULTILINE)
_STATIC = re.compile(r"^static\b[^;{}=]*?\b([A-Za-z_]\w*)\(", re.MULTILINE)
# Not a member of a struct.
_NAME = re.compile(r"(?<![\w.>])[A-Za-z_]\w*\b")


def unit_of(path):
    return os.path.splitext(path)[0]


def read_tree(top):
    """Every C file of the tree: its path from the top and its text."""
    files = {}
    for room in ("include", "src", "stub"):
        for directory, folders, names in os.walk(os.path.join(top, room)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    path = os.path.join(directory, name)
                    with open(path, encoding="utf-8", errors="replace") as file:
                        files[os.path.relpath(path, top)] = file.read()
    return files


def find_include(written, including, files):
    """The file of the tree that an include names; None for a system's header."""
    for folder in ("src", "include", "stub", "", os.path.dirname(including)):
        path = os.path.normpath(os.path.join(folder, written))
        if path in files:
            return path
    return None


def arrows(files):
    """Which unit uses which, and why: {(from, to): reason}."""
    found, defined, plain = {}, {}, {}
    for path, text in files.items():
        for written in _INCLUDE.findall(text):
            used = find_include(written, path, files)
            if used and unit_of(used) != unit_of(path):
                found.setdefault((unit_of(path), unit_of(used)), f"{path} includes {used}")
        plain[path] = _ATTRIBUTE.sub(" ", _NOISE.sub(" ", text))
        if path.endswith(".c"):
            for name in _DEFINITION.findall(plain[path]):
                if name != "main":
                    defined.setdefault(name, unit_of(path))
    for path, text in plain.items():
        if path.endswith(".h"):
            continue
        own = set(_STATIC.findall(text))
        for name in set(_NAME.findall(text)) - own:
            unit = defined.get(name)
            if unit and unit != unit_of(path):
                found.setdefault((unit_of(path), unit), f"{path} uses {name}")
    return found


def passed_on(files):
    """What sealed layers get to see of hidden ones: (file, header that shows it, hidden header)."""
    shown = {
        path: sorted({used for used in (find_include(written, path, files) for written in _INCLUDE.findall(text)) if used})
        for path, text in files.items()
    }
    for path in sorted(files):
        if not path.startswith(SEALED):
            continue
        seen, left = {path}, list(shown[path])
        while left:
            header = left.pop()
            if header in seen:
                continue
            seen.add(header)
            for used in shown[header]:
                if used.startswith(HIDDEN) and used not in seen:
                    seen.add(used)
                    yield path, header, used
                else:
                    left.append(used)


def circles(found):
    """Groups of units that reach each other (Tarjan's algorithm, without recursion)."""
    graph = {}
    for user, used in found:
        graph.setdefault(user, []).append(used)
        graph.setdefault(used, [])
    index, low, stack, on_stack, groups = {}, {}, [], set(), []
    for start in sorted(graph):
        if start in index:
            continue
        work = [(start, iter(sorted(graph[start])))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            unit, following = work[-1]
            advanced = False
            for other in following:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(graph[other]))))
                    advanced = True
                    break
                if other in on_stack:
                    low[unit] = min(low[unit], index[other])
            if advanced:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[unit])
            if low[unit] == index[unit]:
                group = []
                while True:
                    member = stack.pop()
                    on_stack.discard(member)
                    group.append(member)
                    if member == unit:
                        break
                if len(group) > 1:
                    groups.append(sorted(group))
    return sorted(groups)


def layer_of(path):
    for prefix, _ in LAYERS:
        if path.startswith(prefix):
            return prefix
    return None


def complaints(files):
    found = arrows(files)
    allowed = dict(LAYERS)
    said = []
    for path in sorted(files):
        if layer_of(path) is None:
            said.append(f"layer: {path} lies in no layer that is known")
        if path.endswith(("_internal.h", "_inside.h")):
            said.append(f"internal: {path} is a header of several files' private matters")
    for (user, used), reason in sorted(found.items()):
        above, below = layer_of(user), layer_of(used)
        if above and below and above != below and below not in allowed[above]:
            said.append(f"layer: {reason}, and {above} may not use {below}")
    said += [f"passes: {path} sees {used} by {header}" for path, header, used in passed_on(files)]
    for group in circles(found):
        said.append(f"circle: {', '.join(group)}")
        inside = set(group)
        said += [f"    {reason}" for (a, b), reason in sorted(found.items()) if a in inside and b in inside]
    return said, found


def main(words):
    figures = "--figures" in words
    words = [word for word in words if word != "--figures"]
    if len(words) > 1 or any(word.startswith("-") for word in words):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    top = words[0] if words else os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    files = read_tree(top)
    if not files:
        print(f"check_layers: {top} holds no C file in include/, src/ or stub/", file=sys.stderr)
        return 2
    said, found = complaints(files)
    for line in said:
        print(line)
    if figures:
        print(f"{len(files)} files, {len(found)} arrows, {len(circles(found))} circles")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
