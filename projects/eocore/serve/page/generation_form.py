"""Fields for how answers are generated."""

from nicegui import ui

from eocore.serve.page.desk import ChatSettings

FIELD = "dense outlined"


def build_generation_form(settings: ChatSettings, *, longest: int) -> None:
    """Puts the fields where it is called; they change the settings.

    Args:
        settings: of the tab.
        longest: most tokens that the server writes.
    """
    with ui.row().classes("eo-form"):
        length = ui.number("Longest answer [tokens]", min=1, max=longest, precision=0, value=settings.max_new_tokens).props(FIELD)
        length.on_value_change(lambda event: _set_length(settings, event.value, longest=longest))
        drawn = ui.switch("Draw words by chance").bind_value(settings, "samples").props("dense")
        with ui.row().classes("eo-form").bind_visibility_from(drawn, "value"):
            ui.number("Temperature", min=0.05, max=5, step=0.1, value=settings.temperature).props(FIELD).on_value_change(
                lambda event: _set_number(settings, "temperature", value=event.value)
            )
            ui.number("Top p", min=0.01, max=1, step=0.05, value=settings.top_p).props(FIELD).on_value_change(
                lambda event: _set_number(settings, "top_p", value=event.value)
            )
            ui.number("Seed (empty: another answer each time)", precision=0, value=settings.seed).props(FIELD).on_value_change(
                lambda event: setattr(settings, "seed", None if event.value is None else int(event.value))
            )


def _set_length(settings: ChatSettings, value: float | None, *, longest: int) -> None:
    """Where the field is empty or out of range, the last length that was not stays."""
    if value is not None and 1 <= value <= longest:
        settings.max_new_tokens = int(value)


def _set_number(settings: ChatSettings, name: str, *, value: float | None) -> None:
    if value is not None and value > 0:
        setattr(settings, name, float(value))
