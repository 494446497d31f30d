"""A server under load: streamed requests of unlike length with images of their own, answered one by one, in batches, and joined.

    python -m profiling.serving --model MODEL [--requests 1000] [--concurrency 16]

Starts tools/serve.py with `--max-batch 1`, with `--static-batches` and with neither, and asks them in turn. Writes for each: errors,
requests a second, times to the first token and to the end, and the memory of all its processes, early and at the end.
"""

import argparse
import asyncio
import base64
import io
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIDES = {"one by one": ["--max-batch", "1"], "batches": ["--static-batches"], "joined": []}
"""Options of the servers that are measured."""
SHORTEST = 0.1
"""Fraction of the longest answer that the shortest has."""
TURNS = 10
"""In which the requests are put to each side; memory is measured after the first and after the last."""
TIMEOUT_S = 600.0
MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked.

    Attributes:
        model: folder of a converted model that answers in text.
        requests: in all.
        concurrency: under way at once.
        tokens: of the longest answers; others are shorter.
        side: of the images [px].
    """

    model: Path
    requests: int = 1000
    concurrency: int = 16
    tokens: int = 64
    side: int = 64

    def length(self, number: int) -> int:
        """Most tokens of an answer: of the same request the same on all sides."""
        return round(self.tokens * float(np.random.default_rng(number).uniform(SHORTEST, 1)))


@dataclass
class Measured:
    """What a load met.

    Attributes:
        first_s, whole_s: from each request to the first piece of its answer, and to its end [s].
        errors: of requests that failed.
        wall_s: of all together [s].
        memory_mib: of the server's processes after the warm-up and at the end [MiB].
    """

    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    memory_mib: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.whole_s) / self.wall_s

    def line(self, name: str) -> str:
        """A line of the table."""
        first, whole = (np.percentile(times, (50, 99)) if times else (np.nan, np.nan) for times in (self.first_s, self.whole_s))
        start, end = self.memory_mib
        return (
            f"{name:>10} {len(self.errors):>7} {self.per_second:>11.1f} {first[0]:>9.3f} {first[1]:>9.3f} {whole[0]:>9.3f} "
            f"{whole[1]:>9.3f} {start:>9.0f} {end:>9.0f}"
        )


HEADER = "      side  errors  requests/s first p50       p99 whole p50       p99 MiB early   MiB end"


def picture_url(number: int, side: int) -> str:
    """The data URL of a picture that no other number has."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def told_address(lines: Iterable[str]) -> str:
    """The address in what a server writes, behind lines about models that it loads. Raises SystemExit where there is none."""
    found = next((told for told in (re.match(r"serving on (\S+);", line) for line in lines) if told), None)
    if found is None:
        raise SystemExit("the server did not start; its own words are above.")
    return found[1]


@asynccontextmanager
async def started(load: Load, side: Sequence[str]) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Address and process of a server with these options."""
    options = ["--port", "0", "--threads", "1", "--image-memory", "0", "--requests-per-minute", "10000000", *side]
    command = [sys.executable, str(ROOT / "tools/serve.py"), "--model", str(load.model), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield told_address(process.stdout), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


async def measure(address: str, load: Load, *, numbers: Sequence[int], measured: Measured) -> None:
    """Puts some of the requests to a server."""
    left = iter(numbers)
    limits = httpx.Limits(max_connections=load.concurrency)
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S, limits=limits) as client:

        async def ask_on() -> None:
            for number in left:
                await ask(client, load, number=number, measured=measured)

        start = time.perf_counter()
        await asyncio.gather(*(ask_on() for _ in range(load.concurrency)))
        measured.wall_s += time.perf_counter() - start


async def ask(client: httpx.AsyncClient, load: Load, *, number: int, measured: Measured) -> None:
    """One streamed request."""
    image = {"type": "image_url", "image_url": {"url": picture_url(number, load.side)}}
    message = {"role": "user", "content": [{"type": "text", "text": f"What is at place {number}?"}, image]}
    body = {"model": load.model.resolve().name, "messages": [message], "max_tokens": load.length(number), "stream": True}
    start = time.perf_counter()
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = [line async for line in _timed(answer)]
    except httpx.HTTPError as error:
        measured.errors.append(repr(error))
        return
    texts = [when for when, line in lines if '"content": "' in line and '"content": ""' not in line]
    first = texts[0] if texts else lines[-1][0]
    if answer.status_code != 200 or lines[-1][1] != "data: [DONE]" or any('"error"' in line for _, line in lines):
        measured.errors.append(" ".join(line for _, line in lines)[:300])
        return
    measured.first_s.append(first - start)
    measured.whole_s.append(time.perf_counter() - start)


async def _timed(answer: httpx.Response) -> AsyncIterator[tuple[float, str]]:
    async for line in answer.aiter_lines():
        if line:
            yield time.perf_counter(), line


def memory_mib(process: psutil.Process) -> float:
    """Resident memory of a process and its children [MiB]."""
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / MIB


async def compare(load: Load) -> dict[str, Measured]:
    """The load put to a server of each side, in turn, so that a busy machine burdens all alike."""
    found = {side: Measured() for side in SIDES}
    async with AsyncExitStack() as servers:
        running = {side: await servers.enter_async_context(started(load, options)) for side, options in SIDES.items()}
        for turn in range(TURNS):
            for side, (address, process) in running.items():
                await measure(address, load, numbers=range(turn, load.requests, TURNS), measured=found[side])
                if turn in (0, TURNS - 1):
                    found[side].memory_mib.append(memory_mib(process))
    return found


def main() -> int:
    """Measures; returns 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    for name in ("requests", "concurrency", "tokens", "side"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Load, name), metavar="N", help="default: %(default)s")
    load = Load(**vars(parser.parse_args()))
    found = asyncio.run(compare(load))
    print(HEADER)
    for side, measured in found.items():
        print(measured.line(side))
        print(*dict.fromkeys(measured.errors), sep="\n", end="")
    for side, other in (("batches", "one by one"), ("joined", "one by one"), ("joined", "batches")):
        print(f"{found[side].per_second / found[other].per_second:.2f} times the requests a second {side}, beside {other}")
    return 1 if any(measured.errors for measured in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
