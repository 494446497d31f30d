"""Samples one at a time against samples in packs: operators, time, balance of GPUs, and continuing at a late step."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from eocore.data.dataset import random_stream
from eocore.data.loading.packing import PackingOptions, PackSampler, balance
from eocore.data.loading.sample_stats import FIELDS
from eocore.data.loading.sampler import GlobalBatchSampler, LikeLengths
from eocore.data.loading.shard import Shard
from eocore.errors import EOError
from eocore.portable.packed_attention import PACKED, boundary_arguments
from eocore.registry import RATIOS
from eocore.train.planning.plan import single_balance
from profiling.earthmind.ratios.language import LanguageSizes
from profiling.measures.operators import count_operators
from profiling.measures.timing import time_in_turn
from profiling.ratios.ratio import Effort, Goal, Ratio, Reading, compare, difference

FRACTIONS = {1: 0.75, 5: 0.10, 10: 0.05, 0: 0.08, 20: 0.02}
"""Assumed mixture: tiles of a sample -> fraction; 0 = one tile and masks, 20 = a pair of sensors of ten tiles each. Images of the published
sets are mostly square, of 512 px and less. With the data at hand, `tools/plan_run.py` takes their real sizes instead."""
TILE_TOKENS = 256
LONGEST_START_S = 2.0
SMALL = LanguageSizes(layers=4, width=64, heads=4, key_heads=2, feed_forward=128, vocabulary=512)


def mixture(count: int) -> np.ndarray:
    """(N, 5) sizes of samples as `FRACTIONS` says (`eocore.data.loading.sample_stats.FIELDS`)."""
    rng = random_stream(0, "mixture of sizes")
    kinds = rng.choice(list(FRACTIONS), count, p=list(FRACTIONS.values()))
    tiles = np.where(kinds == 0, 1, kinds)
    masks = np.where(kinds == 0, 5, 0)
    text = np.where(kinds == 0, 190, 64)
    scored = np.where(kinds == 0, 55, 12)
    return np.stack([TILE_TOKENS * tiles + text, tiles, masks > 0, masks, scored], axis=1).astype(np.int32)


def upstream_cost(table: np.ndarray) -> np.ndarray:
    """Operations of a 4B sample with LoRA: frozen layers twice, LoRA three times, causal attention, labels, tiles, SAM 2 where it draws.

    Constants: counted with torch's FlopCounterMode on meta tensors at full size; `planning.cost_model` computes them for any model.
    """
    tokens, tiles, images, masks, scored = table.astype(np.float64).T
    return 12.54e9 * tokens + 442_368 * tokens**2 + 0.743e12 * tiles + 1.825e12 * images + 11.1e9 * masks + 1.863e9 * scored


class LanguageWork:
    """A small language model with a loss on random labels, over samples of given lengths.

    Args:
        lengths: of the samples [tokens].
        sizes: of the model.
    """

    def __init__(self, lengths: list[int], sizes: LanguageSizes) -> None:
        torch.manual_seed(0)
        self.model: Any = Qwen2ForCausalLM(sizes.config())
        self.ids = [torch.randint(0, sizes.vocabulary, (length,)) for length in lengths]

    def alone(self) -> Tensor:
        """Every sample in a call of its own."""
        self.model.set_attn_implementation("sdpa")
        return self._learn([(ids[None], torch.arange(len(ids))[None], {}) for ids in self.ids])

    def padded(self) -> Tensor:
        """All as rows of one batch, as long as the longest."""
        self.model.set_attn_implementation("sdpa")
        width = max(map(len, self.ids))
        rows = torch.stack([torch.nn.functional.pad(ids, (0, width - len(ids))) for ids in self.ids])
        mask = torch.stack([torch.arange(width) < len(ids) for ids in self.ids]).long()
        return self._learn([(rows, torch.arange(width)[None].expand(len(rows), -1), {"attention_mask": mask})])

    def packed(self) -> Tensor:
        """All in one row."""
        self.model.set_attn_implementation(PACKED)
        positions = torch.cat([torch.arange(len(ids)) for ids in self.ids])[None]
        boundaries = np.cumsum([0, *map(len, self.ids)]).tolist()
        return self._learn([(torch.cat(self.ids)[None], positions, boundary_arguments(boundaries, positions.device))])

    def _learn(self, calls: list[tuple[Tensor, Tensor, dict[str, Any]]]) -> Tensor:
        """Sum of the losses of the next tokens, after backward."""
        self.model.zero_grad()
        total = torch.zeros(())
        for ids, positions, more in calls:
            states = self.model.model(input_ids=ids, position_ids=positions, use_cache=False, **more).last_hidden_state.flatten(0, 1)
            inside = torch.ones_like(ids, dtype=torch.bool) if "attention_mask" not in more else more["attention_mask"].bool()
            follows = inside & inside.roll(-1, 1) & (positions.roll(-1, 1) == positions + 1)
            supervised = follows.flatten().nonzero().flatten()
            targets = ids.flatten()[supervised + 1]
            loss = torch.nn.functional.cross_entropy(self.model.lm_head(states[supervised]), targets, reduction="sum")
            loss.backward()
            total += loss.detach()
        return total


@RATIOS.register_module(name="G8")
class OperatorsPerSample(Ratio):
    """Operators dispatched for each sample: one sample a call against a pack. They cost a GPU's host 8 to 10 us each, however small.

    Args:
        tokens: of a sample.
        samples: of a pack; 25 samples of one tile fill 8,192 tokens.
        sizes: of the language model, where they are to differ; fields of `LanguageSizes`.
    """

    what = "operators a sample: one a call | 8k packs"

    def __init__(self, *, tokens: int = 320, samples: int = 25, sizes: Mapping[str, int] | None = None) -> None:
        self.samples, self.sizes = samples, replace(SMALL, **{"layers": 36, "vocabulary": 128, **(sizes or {})})
        self.one = LanguageWork([tokens], self.sizes)
        self.all = LanguageWork([tokens] * samples, self.sizes)

    def measure(self, effort: Effort) -> list[Reading]:
        """Operators of forward and backward, and those of a GPU's kernel, which takes all samples of a pack in one call."""
        alone = float(count_operators(self.one.alone).total)
        packed = count_operators(self.all.packed).total / self.samples
        kernel = self._with_one_call() / self.samples
        return [
            compare(
                Goal(quantity="operators, a kernel for packs", goal=10.0, limit=str(self.samples)),
                "operators",
                reference=alone,
                ours=kernel,
            ),
            compare(
                Goal(quantity="operators, sample by sample", goal=None, limit=str(self.samples)), "operators", reference=alone, ours=packed
            ),
        ]

    def _with_one_call(self) -> int:
        """As on a GPU: the pack's attention is one call, as that of a row with one sample is."""
        whole = LanguageWork([sum(map(len, self.all.ids))], self.sizes)
        return count_operators(whole.packed).total


@RATIOS.register_module(name="G9")
class UnevenSamples(Ratio):
    """Samples of uneven length, forward and backward: one at a time, and as rows padded to the longest, against a pack.

    Args:
        samples: how many.
        longest: tokens of the longest; lengths are spread log-normally.
        sizes: of the language model, where they are to differ; fields of `LanguageSizes`.
    """

    what = "24 uneven samples: one at a time, or padded | packed"
    tolerance = 1e-5

    def __init__(self, *, samples: int = 24, longest: int = 320, sizes: Mapping[str, int] | None = None) -> None:
        lengths = np.sort(random_stream(0, "uneven").lognormal(0.0, 1.0, samples))
        self.lengths = [max(int(longest * length / lengths[-1]), 4) for length in lengths]
        self.sizes = replace(SMALL, **(sizes or {}))

    def measure(self, effort: Effort) -> list[Reading]:
        """The fastest of several calls of each, in turn.

        Raises:
            EOError: they give different losses or gradients.
        """
        work = LanguageWork(self.lengths, self.sizes)
        works = {"alone": work.alone, "padded": work.padded, "packed": work.packed}
        results = {name: (run(), work.model.get_input_embeddings().weight.grad.clone()) for name, run in works.items()}
        apart = max(difference(results[name], results["packed"]) for name in ("alone", "padded"))
        if apart > self.tolerance:
            raise EOError(f"G9: losses or gradients differ by {apart:.1e} of the largest, {self.tolerance:.0e} is allowed.")
        times = time_in_turn(works, repeats=effort.repeats, warm_up=effort.warm_up)
        filling = 1 - sum(self.lengths) / (len(self.lengths) * max(self.lengths))
        goals = {
            "alone": Goal(quantity="time, one at a time", goal=1.3, limit="operators on a GPU, see G8"),
            "padded": Goal(quantity="time, padded", goal=2.5, limit=f"{1 / (1 - filling):.1f} and less: {filling:.0%} is padding"),
        }
        note = f"loss and gradients equal to {apart:.0e}"
        return [compare(goal, "s", reference=times[name].best, ours=times["packed"].best, note=note) for name, goal in goals.items()]


@RATIOS.register_module(name="G10")
class Balance(Ratio):
    """Fraction of the time in which 8 GPUs work that wait for each other: one random sample each against packs of like cost.

    Args:
        samples: drawn of the mixture.
        ranks: GPUs.
        max_tokens: of a pack.
        window: steps that samples without packs move within; the default of `task.length_window`.
    """

    what = "8 GPUs at work: a random sample each | samples of like length, packs of like cost"

    def __init__(self, *, samples: int = 20_000, ranks: int = 8, max_tokens: int = 8192, window: int = 16) -> None:
        self.table, self.ranks, self.max_tokens, self.window = mixture(samples), ranks, max_tokens, window

    def measure(self, effort: Effort) -> list[Reading]:
        """For 32 and 64 samples a step, moved within `length_window` steps as training does without packs; and for packs."""
        costs = upstream_cost(self.table)
        single = single_balance(costs, self.ranks)
        readings = []
        for count, goal in ((32, 0.85), (64, 0.95)):
            unmoved = self._by_count(costs, count, window=1)
            note = f"{unmoved:.2f} where no sample moves to another step"
            reached = self._by_count(costs, count, window=self.window)
            readings.append(self._reading(f"{count} samples a step", single, ours=reached, goal=goal, note=note))
        return [*readings, self._reading(f"packs of {self.max_tokens} tokens", single, ours=self._by_packs(), goal=0.95)]

    def _reading(self, quantity: str, reference: float, *, ours: float, goal: float, note: str = "") -> Reading:
        return Reading(quantity=quantity, unit="fraction", reference=reference, ours=ours, reached=ours, goal=goal, limit="1", note=note)

    def _by_count(self, costs: np.ndarray, count: int, *, window: int) -> float:
        sampler = GlobalBatchSampler(
            num_samples=len(costs),
            batch_size=count // self.ranks,
            shard=Shard(world_size=self.ranks),
            like_lengths=LikeLengths(lengths=lambda _: self.table[:, FIELDS.index("tokens")], window=window),
        )
        steps = [sampler.global_batch(step) for step in range(len(costs) // count // window * window)]
        return balance([[costs[[key.index for key in fraction]].sum() for fraction in step] for step in steps])

    def _by_packs(self) -> float:
        sampler = PackSampler(
            num_samples=len(self.table),
            sizes=lambda _: self.table,
            cost=upstream_cost,
            options=PackingOptions(max_tokens=self.max_tokens, folder=None),
            shard=Shard(world_size=self.ranks),
        )
        costs = upstream_cost(self.table)
        return balance([[costs[pack].sum() for pack in group] for group in sampler.epoch_packs(0)])


@RATIOS.register_module(name="G13")
class LateStart(Ratio):
    """Seconds until the samples of a late step are known: every batch before it prepared again against a look-up.

    The reference is computed: batches before the step, times the time a sample takes to prepare, by as many processes.

    Args:
        step: to begin at.
        sample_s: time to read and prepare a sample [s].
        workers: processes that prepare.
        samples: of an epoch.
    """

    what = "start at step 10,000: every batch before it again | looked up"

    def __init__(self, *, step: int = 10_000, sample_s: float = 0.032, workers: int = 4, samples: int = 200_000) -> None:
        self.step, self.sample_s, self.workers = step, sample_s, workers
        self.table = mixture(samples)

    def measure(self, effort: Effort) -> list[Reading]:
        """The slowest of the starts, each by a sampler of its own from the plan in its folder, as a training that resumes."""
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            steps = self._sampler(folder)
            first = [steps.global_batch(step) for step in range(self.step + 1)][-1]
            walked = time.perf_counter() - begin
            times = []
            for _ in range(effort.repeats):
                begin = time.perf_counter()
                found = self._sampler(folder).global_batch(self.step)
                times.append(time.perf_counter() - begin)
                if found != first:
                    raise EOError(f"G13: step {self.step} has other samples when it is begun with than when it is reached.")
        replay = self.step * self.sample_s / self.workers
        goal = Goal(quantity="time", goal=replay / LONGEST_START_S, limit="O(1)")
        return [
            compare(
                goal,
                "s",
                reference=replay,
                ours=max(times),
                note=f"same batch as reached step by step ({walked:.1f} s); goal: {LONGEST_START_S:g} s",
            )
        ]

    def _sampler(self, folder: str) -> PackSampler:
        options = PackingOptions(max_tokens=8192, folder=folder)
        return PackSampler(num_samples=len(self.table), sizes=lambda _: self.table, cost=upstream_cost, options=options)
