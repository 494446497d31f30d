"""A server under load: requests with images of their own, with batches over requests and without.

    python -m profiling.serving --model MODEL [--requests 1000] [--concurrency 16]

Starts tools/serve.py twice, with `--max-batch 1` and with the default. Writes for each: errors, requests a second, times to the first token
and to the end, and the memory of all its processes, early and at the end.
"""

import argparse
import asyncio
import base64
import io
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BATCHES = (1, 16)
WARM_UP = 0.1
"""Fraction of the requests after which memory is measured first."""
TIMEOUT_S = 600.0
MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked.

    Attributes:
        model: folder of a converted model that answers in text.
        requests: in all.
        concurrency: under way at once.
        tokens: of each answer, at most.
        side: of the images [px].
    """

    model: Path
    requests: int = 1000
    concurrency: int = 16
    tokens: int = 16
    side: int = 64


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


HEADER = " max batch  errors  requests/s first p50       p99 whole p50       p99 MiB early   MiB end"


def picture_url(number: int, side: int) -> str:
    """The data URL of a picture that no other number has."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


@asynccontextmanager
async def started(load: Load, max_batch: int) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Address and process of a server."""
    options = ["--port", "0", "--threads", "1", "--max-batch", str(max_batch), "--requests-per-minute", "10000000"]
    command = [sys.executable, str(ROOT / "tools/serve.py"), "--model", str(load.model), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.match(r"serving on (\S+);", process.stdout.readline())
        if found is None:
            raise SystemExit("the server did not start; its own words are above.")
        yield found[1], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


async def measure(address: str, load: Load, *, process: psutil.Process) -> Measured:
    """Puts the load to a server."""
    measured, left = Measured(), iter(range(load.requests))
    limits = httpx.Limits(max_connections=load.concurrency)
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S, limits=limits) as client:

        async def ask_on() -> None:
            for number in left:
                await ask(client, load, number=number, measured=measured)
                if number == int(WARM_UP * load.requests):
                    measured.memory_mib.append(memory_mib(process))

        start = time.perf_counter()
        await asyncio.gather(*(ask_on() for _ in range(load.concurrency)))
        measured.wall_s = time.perf_counter() - start
    measured.memory_mib.append(memory_mib(process))
    return measured


async def ask(client: httpx.AsyncClient, load: Load, *, number: int, measured: Measured) -> None:
    """One streamed request."""
    image = {"type": "image_url", "image_url": {"url": picture_url(number, load.side)}}
    message = {"role": "user", "content": [{"type": "text", "text": f"What is at place {number}?"}, image]}
    body = {"model": load.model.resolve().name, "messages": [message], "max_tokens": load.tokens, "stream": True}
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


async def compare(load: Load, batches: Sequence[int]) -> list[Measured]:
    """The load put to servers of these largest batches, one after the other."""
    found = []
    for batch in batches:
        async with started(load, batch) as (address, process):
            found.append(await measure(address, load, process=process))
    return found


def main() -> int:
    """Measures; returns 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    for name in ("requests", "concurrency", "tokens", "side"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Load, name), metavar="N", help="default: %(default)s")
    load = Load(**vars(parser.parse_args()))
    found = asyncio.run(compare(load, BATCHES))
    print(HEADER)
    for batch, measured in zip(BATCHES, found, strict=True):
        print(measured.line(str(batch)))
        print(*dict.fromkeys(measured.errors), sep="\n", end="")
    print(f"{found[1].per_second / found[0].per_second:.2f} times the requests a second with batches")
    return 1 if any(measured.errors for measured in found) else 0


if __name__ == "__main__":
    sys.exit(main())
