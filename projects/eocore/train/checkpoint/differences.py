"""Differences between what two runs recorded, one line each, with the old and the new value."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from eocore.portable.chat_templates import writes_alike
from eocore.resolve import plain

CHAT_TEMPLATE = ".processor.chat_template"
"""Ends the path of an option whose text may be written in several ways that mean one format."""
MAX_SHOWN = 100
NOTHING = object()
"""Stands for the value of an option that is not there."""


def compare(then: Any, now: Any, *, defaults: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(path, line) of each difference between two nested values.

    An option that `then` does not have, as its version did not, is no difference where it has its default now.
    """
    then, now = plain(then), plain(now)
    if isinstance(now, dict) and isinstance(then, dict):
        if "type" in then and "type" in now and then["type"] != now["type"]:
            yield f"{path}.type", _line(f"{path}.type", then["type"], now=now["type"])
            return
        for key in dict.fromkeys([*then, *now]):
            yield from _compare_entry(
                then.get(key, NOTHING), now.get(key, NOTHING), defaults=defaults, path=f"{path}.{key}" if path else key
            )
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then) and any(isinstance(part, dict | list) for part in now):
        for number, (old, new) in enumerate(zip(then, now, strict=True)):
            yield from compare(old, new, defaults=defaults, path=f"{path}.{number}")
    elif then != now:
        yield path, _line(path, then, now=now)


def _compare_entry(then: Any, now: Any, *, defaults: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if then is NOTHING and isinstance(now, dict) and now:
        then = {}
    if then is NOTHING and now in (None, defaults.get(path)):
        return
    if path.endswith(CHAT_TEMPLATE) and isinstance(then, str) and isinstance(now, str) and writes_alike(then, now):
        return
    if then is NOTHING or (now is NOTHING and then is not None):
        yield path, _line(path, then, now=now)
    elif now is not NOTHING:
        yield from compare(then, now, defaults=defaults, path=path)


def _line(path: str, then: Any, *, now: Any) -> str:
    if isinstance(then, list) and isinstance(now, list) and len(then) != len(now) and any(isinstance(part, dict) for part in [*then, *now]):
        return f"{path}: {len(then)} entries then, {len(now)} now"
    return f"{path}: {_shown(then)} then, {_shown(now)} now"


def _shown(value: Any) -> str:
    text = "nothing" if value is NOTHING else str(value)
    if len(text) <= MAX_SHOWN:
        return text
    return f"{text[:MAX_SHOWN]}... ({len(text)} characters, sha256 {hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]})"


def content_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each difference between two descriptions of `eocore.data.content`; data sets are matched by their order."""
    lines = [] if then["samples"] == now["samples"] else [f"samples of an epoch: {then['samples']} then, {now['samples']} now"]
    old, new = then["datasets"], now["datasets"]
    matcher = SequenceMatcher(None, [_fingerprint(part) for part in old], [_fingerprint(part) for part in new], autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag == "equal":
            continue
        come = list(new[first:last])
        for part in old[start:end]:
            same = next((other for other in come if _is_edited(part, other)), None)
            if same is None:
                lines.append(f"data set '{part['name']}': {_size(part)} then, gone or moved now")
            else:
                come.remove(same)
                lines += _dataset_differences(part, same)
        lines += [f"data set '{part['name']}': not at this position then, {_size(part)} now" for part in come]
    return lines


def _fingerprint(part: Mapping[str, Any]) -> str:
    """All of a data set but names, which stand in messages only."""
    digests = [file["sha256"] for file in part["files"]]
    return json.dumps([digests, {name: value for name, value in part.items() if name not in ("name", "files")}], sort_keys=True)


def _is_edited(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether `now` is the data set `then`, edited or renamed."""
    return then["name"] == now["name"] or [file["sha256"] for file in then["files"]] == [file["sha256"] for file in now["files"]]


def _dataset_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    where = f"data set '{now['name']}'"
    if then["records"] != now["records"]:
        yield f"{where}: {then['records']} records then, {now['records']} now"
    if then["left_out"] != now["left_out"]:
        yield f"{where}: {then['left_out']} broken entries left out then, {now['left_out']} now"
    if len(then["files"]) != len(now["files"]):
        yield f"{where}: {len(then['files'])} annotation files then, {len(now['files'])} now"
    edited = [
        (new["name"], old["sha256"], new["sha256"])
        for old, new in zip(then["files"], now["files"], strict=False)
        if old["sha256"] != new["sha256"]
    ]
    for name, old, new in edited:
        yield f"{where}: {name} (sha256) {old[:12]} then, {new[:12]} now"
    if then["content"] != now["content"] and not edited:
        yield f"{where}: its records as parsed (sha256) {then['content'][:12]} then, {now['content'][:12]} now"
    if then["images"] != now["images"] and not (edited or then["records"] != now["records"]):
        yield f"{where}: names and sizes of image files (sha256) {then['images'][:12]} then, {now['images'][:12]} now"


def _size(part: Mapping[str, Any]) -> str:
    return f"{part['records']} records of {', '.join(file['name'] for file in part['files'])}"
