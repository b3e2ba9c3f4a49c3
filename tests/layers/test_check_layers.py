"""check_layers.py on small trees with planted faults: each is found, and a sound tree is let pass."""

import os
import subprocess
import sys

import pytest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_layers.py")

SOUND = {
    "src/base/bytes.h": "int bytes_sum(int a);\n",
    "src/base/bytes.c": '#include "base/bytes.h"\n\nint bytes_sum(int a)\n{\n    return a;\n}\n',
    "src/rsp/packet.h": "int packet_read(void);\n",
    "src/rsp/packet.c": '#include "rsp/packet.h"\n#include "base/bytes.h"\n\n'
    "int packet_read(void)\n{\n    return bytes_sum(1);\n}\n",
}


def check(directory, files, *words):
    for path, text in {**SOUND, **files}.items():
        whole = directory / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(text)
    done = subprocess.run(
        [sys.executable, SCRIPT, *words, str(directory)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


def test_a_sound_tree_passes(tmp_path):
    code, said = check(tmp_path, {}, "--figures")
    assert (code, said) == (0, "4 files, 1 arrows, 0 circles\n")


FAULTS = {
    "an include upwards": (
        {"src/base/up.c": '#include "rsp/packet.h"\n'},
        "layer: src/base/up.c includes src/rsp/packet.h",
    ),
    "a call upwards without an include": (
        {"src/base/up.c": "int packet_read(void);\n\nint up(void)\n{\n    return packet_read();\n}\n"},
        "layer: src/base/up.c uses packet_read",
    ),
    "a sideways include": (
        {"src/wire/frame.c": '#include "rsp/packet.h"\n'},
        "layer: src/wire/frame.c includes src/rsp/packet.h",
    ),
    "a front that passes space by": (
        {"stub/front.c": '#include "wire/frame.h"\n', "src/wire/frame.h": "int frame;\n"},
        "layer: stub/front.c includes src/wire/frame.h",
    ),
    "a header of space that shows a front what lies below": (
        {
            "stub/front.c": '#include "space/session.h"\n',
            "src/space/session.h": '#include "space/words.h"\n',
            "src/space/words.h": '#include "upstream/types.h"\n',
            "src/upstream/types.h": "enum { SOME };\n",
        },
        "passes: stub/front.c sees src/upstream/types.h by src/space/words.h",
    ),
    "a circle of two": (
        {
            "src/base/one.h": "int one(void);\n",
            "src/base/one.c": '#include "base/two.h"\n\nint one(void)\n{\n    return two();\n}\n',
            "src/base/two.h": "int two(void);\n",
            "src/base/two.c": '#include "base/one.h"\n\nint two(void)\n{\n    return one();\n}\n',
        },
        "circle: src/base/one, src/base/two\n",
    ),
    "a circle of three behind one header": (
        {
            "src/base/all.h": "int one(void);\nint two(void);\nint three(void);\n",
            "src/base/one.c": '#include "base/all.h"\n\nint one(void)\n{\n    return two();\n}\n',
            "src/base/two.c": '#include "base/all.h"\n\nint two(void)\n{\n    return three();\n}\n',
            "src/base/three.c": '#include "base/all.h"\n\nint three(void)\n{\n    return one();\n}\n',
        },
        "circle: src/base/one, src/base/three, src/base/two\n",
    ),
    "a header of private matters": (
        {"src/base/bytes_internal.h": "int bytes_private;\n"},
        "internal: src/base/bytes_internal.h",
    ),
    "a folder that is no layer": (
        {"src/else/where.c": "int where;\n"},
        "layer: src/else/where.c lies in no layer",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(tmp_path, fault):
    files, complaint = FAULTS[fault]
    code, said = check(tmp_path, files)
    assert code == 1
    assert complaint in said


def test_names_in_comments_strings_and_members_are_none(tmp_path):
    text = (
        '#include "base/bytes.h"\n\n/* packet_read() */\nstatic const char text[] = "packet_read()";\n\n'
        "int quiet(struct some *one)\n{\n    return text[0] + one->packet_read + bytes_sum(2);\n}\n"
    )
    code, said = check(tmp_path, {"src/base/quiet.c": text})
    assert (code, said) == (0, "")


def test_what_space_keeps_to_itself_is_not_passed_on(tmp_path):
    files = {
        "stub/front.c": '#include "space/session.h"\n\nint front(void)\n{\n    return session();\n}\n',
        "src/space/session.h": "int session(void);\n",
        "src/space/session.c": '#include "space/session.h"\n#include "upstream/types.h"\n\n'
        "int session(void)\n{\n    return SOME;\n}\n",
        "src/upstream/types.h": "enum { SOME };\n",
    }
    code, said = check(tmp_path, files)
    assert (code, said) == (0, "")


def test_a_tree_that_cannot_be_read(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "no C file" in done.stderr
