"""The best result so far, how long ago it was, and what a run that resumes must know of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.text import did_you_mean
from eocore.train.validation.options import ValidationOptions


@dataclass
class BestResult:
    """Compares the result that `options.best` names from one validation to the next.

    Attributes:
        options: of the validation.
        key: digest of what results depend on beside the model; those of another key are not compared.
        validated: updates made before the last complete validation; None before the first.
        step, value: of the best result; None before the first finite one.
        waited: validations since then.
    """

    options: ValidationOptions
    key: str
    validated: int | None = None
    step: int | None = None
    value: float | None = None
    waited: int = 0

    def see(self, step: int, results: Mapping[str, float]) -> bool:
        """True where the results after `step` updates are better than all before.

        Raises:
            ConfigError: the result that `best` names is not among them.
        """
        self.validated = step
        name = self.options.best
        if name is None:
            return False
        if name not in results:
            raise ConfigError(
                f"training.validation.best is '{name}', which is not among the results of this validation."
                f"{did_you_mean(name, results)} Results: {', '.join(results)}. Correct it and continue with --resume."
            )
        value = results[name]
        sign = -1.0 if self.options.seeks_lowest else 1.0
        if value == value and (self.value is None or sign * value > sign * self.value):
            self.step, self.value, self.waited = step, value, 0
            return True
        self.waited += 1
        return False

    @property
    def ended(self) -> str:
        """Why the training ends early, in words; empty while it continues."""
        if self.options.patience is None or self.waited < self.options.patience:
            return ""
        best = "no value was finite" if self.value is None else f"the best is {self.value:.4g}, after step {self.step}"
        return f"stopped early: {self.options.best} was not better in {self.waited} validations in a row; {best}"

    def state(self) -> dict[str, Any]:
        """For trainer.json."""
        best = None if self.step is None else {"name": self.options.best, "step": self.step, "value": self.value}
        return {"key": self.key, "validated": self.validated, "best": best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Continues with what `state` gave; begins anew, with a warning, where that was of other data or another result."""
        if not state:
            return
        if state["key"] != self.key:
            get_logger().warning(
                "validation: what is validated, or the result that `best` names, is another than in the checkpoint; its best value is "
                "not compared with those to come, and its checkpoint is not kept any longer."
            )
            return
        best = state["best"] or {"step": None, "value": None}
        self.validated, self.waited = state["validated"], int(state["waited"])
        self.step, self.value = best["step"], best["value"]
