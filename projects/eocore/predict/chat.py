"""A conversation about one set of images, line by line: questions, and commands that begin with a slash."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO, runtime_checkable

from eocore.errors import ConfigError, DataError, EOError
from eocore.files import write_file
from eocore.predict.answers import Prediction, find_earlier, write_prediction
from eocore.predict.image_files import ImageFile, read_images
from eocore.predict.inputs import INPUTS
from eocore.sensors.scene import Scene

TRANSCRIPT = "conversation.json"
HELP = """Ask anything about the images, or:
  /image                 which images are shown
  /image INPUT=FILE ...  shows others (optical, rgb, multispectral, sar; an input may be given once a band) and begins anew
  /masks                 the masks of the last answer
  /save [DIR]            writes the last answer, its masks and the conversation (default: a folder for each round below {out})
  /history               what was asked and answered
  /new                   forgets the conversation, keeps the images
  /help                  this list
  /quit                  ends; so does the end of the input
"""
EMPTY = "(the model's answer is empty)"


@runtime_checkable
class Converses(Protocol):
    """A model that answers in several rounds."""

    def converse(
        self,
        scenes: Mapping[str, Scene],
        turns: Sequence[tuple[str, str]],
        *,
        max_new_tokens: int,
        write: Callable[[str], None] | None = None,
    ) -> Prediction:
        """The answer to the last of the turns.

        Args:
            scenes: by role; the same in all rounds.
            turns: (role, text), questions and answers in turn, a question last. Masks of earlier answers are not drawn again.
            max_new_tokens: longest answer.
            write: is called with each piece of the answer while it is generated.

        Raises:
            DataError: the model cannot take these images or texts.
        """


@dataclass(frozen=True)
class ChatOptions:
    """How a conversation goes.

    Attributes:
        max_new_tokens: longest answer.
        out: folder that `/save` writes below.
        sensors: input -> sensor, where files do not tell it.
    """

    max_new_tokens: int = 512
    out: Path = Path("work_dirs/chat")
    sensors: Mapping[str, str] = field(default_factory=dict)


class Chat:
    """Takes lines, writes answers.

    Args:
        model: answers.
        scenes: what is shown first, by role.
        output: where answers and messages go.
        options: see `ChatOptions`.
    """

    def __init__(self, model: Converses, scenes: Mapping[str, Scene], *, output: TextIO, options: ChatOptions) -> None:
        self.model, self.scenes, self.output, self.options = model, dict(scenes), output, options
        self.turns: list[tuple[str, str]] = []
        self.last: Prediction | None = None
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "/image": self._image,
            "/masks": self._masks,
            "/save": self._save,
            "/history": self._history,
            "/new": self._new,
            "/help": self._help,
        }

    def run(self, read_line: Callable[[], str | None]) -> int:
        """Handles lines until `/quit` or the end; returns how many of them failed.

        Args:
            read_line: the next line, None at the end.
        """
        failed = 0
        while (line := read_line()) is not None and line.strip() != "/quit":
            try:
                self.handle(line)
            except EOError as error:
                self._say(f"{type(error).__name__}: {error}")
                failed += 1
            except KeyboardInterrupt:
                self._say("\n(stopped; this question is not part of the conversation)")
        return failed

    def handle(self, line: str) -> None:
        """Answers a question, or does what a command says.

        Raises:
            ConfigError: there is no such command, or its arguments are wrong.
            DataError: an image cannot be read, the model cannot answer, or there is nothing to show or save.
        """
        text = line.strip()
        if not text:
            return
        if not text.startswith("/"):
            self._ask(text)
            return
        try:
            name, *words = shlex.split(text)
        except ValueError as error:
            raise ConfigError(f"{text}: {error}. Close the quotation, or leave the quotes out.") from error
        if name not in self._commands:
            raise ConfigError(f"there is no command {name}; there are {', '.join([*self._commands, '/quit'])}.")
        self._commands[name](words)

    def _ask(self, text: str) -> None:
        turns = [*self.turns, ("user", text)]
        prediction = self.model.converse(self.scenes, turns, max_new_tokens=self.options.max_new_tokens, write=self._write)
        self.turns, self.last = [*turns, ("assistant", prediction.text)], prediction
        self._say("" if prediction.text else EMPTY)
        if len(prediction.masks):
            self._say(f"  {len(prediction.masks)} mask(s): /masks describes, /save writes them")

    def _image(self, words: list[str]) -> None:
        if words:
            self.scenes = read_images(named_images(words, sensors=self.options.sensors))
            self._new([])
        for role, scene in self.scenes.items():
            height, width = scene.size
            self._say(f"  {role}: {scene.sensor}, {height} x {width} px, bands {', '.join(scene.bands)}, {scene.path}")
        if not self.scenes:
            self._say("  no image; /image INPUT=FILE shows one")

    def _masks(self, words: list[str]) -> None:
        prediction = self._answered("/masks", words)
        for number, mask in enumerate(prediction.masks, start=1):
            self._say(f"  mask {number}: {int(mask.sum())} of {mask.size} px ({mask.mean():.1%}) of the {prediction.grid} image")
        if not len(prediction.masks):
            self._say("  the last answer has no masks")

    def _save(self, words: list[str]) -> None:
        prediction = self._answered("/save", words[1:])
        out = Path(words[0]) if words else self.options.out / f"round_{len(self.turns) // 2:02d}"
        find_earlier(out, overwrite=False)
        files = write_prediction(prediction, out)
        transcript = out / TRANSCRIPT
        write_file(transcript, json.dumps([{"role": role, "text": text} for role, text in self.turns], indent=1, ensure_ascii=False) + "\n")
        for path in [*files, transcript]:
            self._say(f"  {path}")

    def _history(self, _words: list[str]) -> None:
        for role, text in self.turns:
            self._say(f"  {'you' if role == 'user' else 'model'}: {text}")
        if not self.turns:
            self._say("  nothing was asked yet")

    def _new(self, _words: list[str]) -> None:
        self.turns, self.last = [], None

    def _help(self, _words: list[str]) -> None:
        self._say(HELP.format(out=self.options.out).rstrip("\n"))

    def _answered(self, command: str, superfluous: list[str]) -> Prediction:
        """The last answer. Raise ConfigError if the command has arguments too many, DataError if nothing was answered."""
        if superfluous:
            raise ConfigError(f"{command}: {' '.join(superfluous)} is not understood. See /help.")
        if self.last is None:
            raise DataError(f"{command}: nothing was answered yet. Ask a question first.")
        return self.last

    def _write(self, text: str) -> None:
        self.output.write(text)
        self.output.flush()

    def _say(self, text: str) -> None:
        self._write(f"{text}\n")


def named_images(words: Sequence[str], *, sensors: Mapping[str, str]) -> dict[str, ImageFile]:
    """The images that INPUT=FILE words name.

    Args:
        words: an input several times names one file a band.
        sensors: input -> sensor, where files do not tell it.

    Raises:
        ConfigError: a word has another form, or names an unknown input.
    """
    paths: dict[str, list[str]] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not path or name not in INPUTS:
            raise ConfigError(f"/image {word}: expected INPUT=FILE, with INPUT one of {', '.join(INPUTS)}.")
        paths.setdefault(name, []).append(path)
    return {name: ImageFile(tuple(files), sensors.get(name)) for name, files in paths.items()}
