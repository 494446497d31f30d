"""All commands by name, with a line each; the function of an entry imports the command's module, so that none is imported for another."""

from eocore.command import CommandGroup, Entry, Runnable


def _train() -> Runnable:
    from eocore.commands.train import COMMAND

    return COMMAND


def _test() -> Runnable:
    from eocore.commands.test import COMMAND

    return COMMAND


def _evaluate() -> Runnable:
    from eocore.evaluate.__main__ import main

    return main


def _convert() -> Runnable:
    from eocore.commands.convert import COMMAND

    return COMMAND


def _predict() -> Runnable:
    from eocore.commands.predict import COMMAND

    return COMMAND


def _chat() -> Runnable:
    from eocore.commands.chat import COMMAND

    return COMMAND


def _search_index() -> Runnable:
    from eocore.commands.search_index import COMMAND

    return COMMAND


def _map_scene() -> Runnable:
    from eocore.commands.map_scene import COMMAND

    return COMMAND


def _embed_scenes() -> Runnable:
    from eocore.commands.embed_scenes import COMMAND

    return COMMAND


def _serve() -> Runnable:
    from eocore.commands.serve import COMMAND

    return COMMAND


def _serve_users() -> Runnable:
    from eocore.commands.serve_users import COMMAND

    return COMMAND


def _report() -> Runnable:
    from eocore.commands.report import COMMAND

    return COMMAND


def _new_dataset() -> Runnable:
    from eocore.commands.new_dataset import COMMAND

    return COMMAND


def _check_data() -> Runnable:
    from eocore.commands.check_data import COMMAND

    return COMMAND


def _show_data() -> Runnable:
    from eocore.commands.show_data import COMMAND

    return COMMAND


def _plan_run() -> Runnable:
    from eocore.commands.plan_run import COMMAND

    return COMMAND


def _estimate_memory() -> Runnable:
    from eocore.commands.estimate_memory import COMMAND

    return COMMAND


def _print_config() -> Runnable:
    from eocore.commands.print_config import COMMAND

    return COMMAND


def _checkpoint() -> Runnable:
    from eocore.commands.checkpoint import COMMAND

    return COMMAND


def _import_weights() -> Runnable:
    from eocore.commands.import_weights import COMMAND

    return COMMAND


def _export_weights() -> Runnable:
    from eocore.commands.export_weights import COMMAND

    return COMMAND


def _download() -> Runnable:
    from eocore.commands.download import COMMAND

    return COMMAND


def _make_synthetic() -> Runnable:
    from eocore.commands.make_synthetic import COMMAND

    return COMMAND


def _make_benchmarks() -> Runnable:
    from eocore.commands.make_benchmarks import COMMAND

    return COMMAND


def _measure_throughput() -> Runnable:
    from eocore.commands.measure_throughput import COMMAND

    return COMMAND


def _needle_test() -> Runnable:
    from eocore.commands.needle_test import COMMAND

    return COMMAND


COMMANDS = {
    "train": Entry("train what a config describes, or try one step of it (--dry-run)", _train),
    "test": Entry("evaluate a converted model as a config's `evaluation` section says", _test),
    "evaluate": Entry("evaluate by benchmark names: run, merge, score, compare, report", _evaluate),
    "convert": Entry("convert a training checkpoint into a Hugging Face folder", _convert),
    "predict": Entry("ask a converted model about image files", _predict),
    "chat": Entry("converse with a converted model about image files", _chat),
    "search-index": Entry("search images and captions: build an index of vectors, add to it, ask it", _search_index),
    "map-scene": Entry("map a whole scene: rasters and polygons of what prompts name", _map_scene),
    "embed-scenes": Entry("embed the windows of whole scenes: vectors for an index", _embed_scenes),
    "serve": Entry("serve models to people and programs: page, and an endpoint in the form of OpenAI's API", _serve),
    "serve-users": Entry("add users and tokens of a server", _serve_users),
    "report": Entry("write the report of an evaluation made by `test`", _report),
    "new-dataset": Entry("make a config, splits and a data check of one's own images and table", _new_dataset),
    "check-data": Entry("read every record of a config's datasets before a training does", _check_data),
    "show-data": Entry("draw samples of a config's datasets: images, masks, boxes, words", _show_data),
    "plan-run": Entry("plan a training: batches or packs, balance, hours", _plan_run),
    "estimate-memory": Entry("estimate the GPU memory of a training from its config", _estimate_memory),
    "print-config": Entry("print a config with its bases merged and overrides applied", _print_config),
    "checkpoint": Entry("list, verify, show, compare and convert training checkpoints", _checkpoint),
    "import": Entry("import upstream weights into a folder of this project's layout", _import_weights),
    "export": Entry("write a model in an upstream layout", _export_weights),
    "download": Entry("fetch upstream weights and data sets from the Hugging Face hub", _download),
    "make-synthetic": Entry("write the synthetic world to train and evaluate on", _make_synthetic),
    "make-benchmarks": Entry("write made-up test sets in the upstream layouts", _make_benchmarks),
    "needle-test": Entry("ask for a sign hidden in one of many tiles, by length, depth and ratio", _needle_test),
    "measure-throughput": Entry("measure answers in batches against answers one by one", _measure_throughput),
}
EO = CommandGroup("eo", COMMANDS)
