"""Weights & Biases with the training's own steps: mmengine's back end leaves the step out, so its curves count records from 0."""

import importlib.util
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization.vis_backend import WandbVisBackend, force_init_env
from typing_extensions import override

from eocore.errors import ConfigError

PACKAGE = "wandb"


@VISBACKENDS.register_module(name="WandbVisBackend", force=True)
class SteppedWandb(WandbVisBackend):
    """mmengine's back end of that name and with its arguments, which also hands the step on; a resumed run continues at its step.

    No source file is uploaded unless `log_code_name` names an artifact for them.
    """

    def __init__(self, save_dir: str, **arguments: Any) -> None:
        """
        Args:
            save_dir: where W&B keeps its files.
            arguments: as mmengine's: init_kwargs, define_metric_cfg, commit, ...

        Raises:
            ConfigError: the package is not installed.
        """
        if importlib.util.find_spec(PACKAGE) is None:
            raise ConfigError(
                "tracking names WandbVisBackend, but the package wandb is not installed, so nothing could be logged there. Install it "
                "(pip install 'eocore-earthmind[wandb]'), or take the entry out of `tracking`."
            )
        super().__init__(save_dir, **arguments)

    @force_init_env
    def add_config(self, config: Config, **_: Any) -> None:
        """Hands the config on. mmengine's would upload the source files of the working directory too: here only where
        `log_code_name` asks for it. A resumed run of the same id may have other values."""
        if self._log_code_name is not None:
            super().add_config(config)
            return
        self._wandb.config.update(config.to_dict(), allow_val_change=self._init_kwargs.get("allow_val_change", True))

    @force_init_env
    @override
    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        """Logs one value at `step` updates."""
        self._wandb.log({name: value}, step=step, commit=self._commit)

    @force_init_env
    @override
    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **_: Any) -> None:
        """Logs the values of one record at `step` updates."""
        self._wandb.log(scalar_dict, step=step, commit=self._commit)

    @force_init_env
    @override
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **_: Any) -> None:
        """Logs a picture (H, W, 3) uint8 at `step` updates."""
        self._wandb.log({name: self._wandb.Image(image)}, step=step, commit=self._commit)

    def close(self) -> None:
        """Ends W&B's run, if one was begun: what was logged is sent or kept."""
        if hasattr(self, "_wandb"):
            self._wandb.finish()
