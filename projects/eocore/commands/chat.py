"""A conversation with a converted model about images: questions line by line, answers streamed as they are written, masks, history."""

import argparse
import sys
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.predict import EPILOG, add_image_options, by_input, by_role, image_files
from eocore.errors import ConfigError
from eocore.overrides import add_long, with_long
from eocore.predict.inputs import INPUTS

PROMPT = "> "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.epilog = EPILOG
    parser.add_argument("model", type=Path, help="folder of a converted model")
    add_image_options(parser)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/chat"), metavar="DIR", help="where /save writes (default: %(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="longest answer (default: %(default)s)")
    add_long(parser)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")


def read_line() -> str | None:
    """The next line of the input, asked for where a person types; None at its end."""
    try:
        return input(PROMPT if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except KeyboardInterrupt:  # forgets what was typed so far
        say()
        return ""


def run(arguments: argparse.Namespace) -> int:
    """Converses until the input ends; returns 1 where a line of a piped input failed, else 0."""
    from eocore.evaluate.protocols import LoadsWeights
    from eocore.predict.chat import Chat, ChatOptions, Converses
    from eocore.predict.image_files import read_images
    from eocore.system import PredictorOptions, system_of_model

    scenes = read_images(image_files(arguments), max_bytes=arguments.max_bytes)
    system = system_of_model(arguments.model)
    make = system.need(system.predictor, "its models cannot answer")
    predictor = make(arguments.model, PredictorOptions(device=arguments.device, float32_on_cpu=True, generation=with_long(arguments)))
    if not isinstance(predictor, Converses):
        raise ConfigError(f"models of system '{system.name}' do not converse. Ask single questions with `eo predict`.")
    if isinstance(predictor, LoadsWeights):
        predictor.load()
    if sys.stdin.isatty():
        import readline  # noqa: F401  (lets `input` edit lines and recall earlier ones)

        say("Ask about the images; /help lists the commands, /quit ends.")
    roles = by_role(word for words in arguments.image for word in words)
    sensors = by_input("sensor", arguments.sensor, known=(*INPUTS, *roles))
    options = ChatOptions(max_new_tokens=arguments.max_new_tokens, out=arguments.out, sensors=sensors)
    failed = Chat(predictor, scenes, output=sys.stdout, options=options).run(read_line)
    return 1 if failed and not sys.stdin.isatty() else 0


COMMAND = Command(name="chat", description=__doc__, add_arguments=add_arguments, run=run)
