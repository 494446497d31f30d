"""Small elements that several panels use."""

from collections.abc import Callable
from typing import Any

from nicegui import ui


def icon_button(icon: str, title: str, *, on_click: Callable[[], Any]) -> ui.button:
    """A round button that says what it does to those who point at it, and to those who have it read out.

    Args:
        icon: of Material Icons.
        title: what it does.
        on_click: does it.
    """
    button = ui.button(icon=icon, on_click=on_click).props("flat dense round size=sm")
    button.props["aria-label"] = title
    button.props["title"] = title  # the library's own tooltips look in vain for buttons of panels that are out of view
    return button
