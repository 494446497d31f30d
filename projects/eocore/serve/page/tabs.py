"""The tabs of browsers that have the page open: each with its session of files and its desk, found by no one else."""

import time
from dataclasses import dataclass, field

from eocore.errors import AccessError
from eocore.serve.page.desk import Desk, DeskImage, MaskLayer, new_key
from eocore.serve.service import Service
from eocore.serve.sessions import Session

LEFT_S = 600.0
"""How long the files of a tab are kept after its page was left: for a reload, the back button, a train in a tunnel."""


@dataclass(eq=False)
class Tab:
    """One tab.

    Attributes:
        browser: random id of the browser, from its signed cookie.
        session: its files.
        desk: its work.
        num_pages: that are open now: more than one only while it is loaded anew.
        left_at: when the last page was left [s of the monotonic clock].
        key: in the addresses of pictures.
    """

    browser: str
    session: Session
    desk: Desk = field(default_factory=Desk)
    num_pages: int = 0
    left_at: float = field(default_factory=time.monotonic)
    key: str = field(default_factory=new_key)

    def image(self, key: str) -> DeskImage:
        """Raises AccessError where the desk has none of that key."""
        if key not in self.desk.images:
            raise AccessError("there is no such image in this tab.")
        return self.desk.images[key]

    def layer(self, key: str) -> MaskLayer:
        """Raises AccessError where the desk has no mask of that key."""
        if key not in self.desk.layers:
            raise AccessError("there is no such mask in this tab.")
        return self.desk.layers[key]


class Tabs:
    """All tabs of a server.

    Args:
        service: whose sessions hold the files.
        left_s: how long the files of a tab are kept after it was left [s].
    """

    def __init__(self, service: Service, *, left_s: float = LEFT_S) -> None:
        self._service, self._left_s = service, left_s
        self._tabs: dict[tuple[str, str], Tab] = {}
        self._by_key: dict[str, Tab] = {}

    def enter(self, browser: str, tab_id: str) -> Tab:
        """The tab, as it was left, or a new one. Raises BusyError where there are too many sessions."""
        self.sweep()
        tab = self._tabs.get((browser, tab_id))
        if tab is None:
            tab = Tab(browser, self._service.sessions.create())
            self._tabs[browser, tab_id] = self._by_key[tab.key] = tab
        tab.num_pages += 1
        self.touch(tab)
        return tab

    def touch(self, tab: Tab) -> None:
        """The tab's page is open: its session is in use."""
        tab.session.used_at = time.monotonic()

    def leave(self, tab: Tab) -> None:
        """One page of the tab is gone."""
        tab.num_pages -= 1
        tab.left_at = time.monotonic()

    def find(self, browser: str, key: str) -> Tab:
        """The tab of that key. Raises AccessError where this browser has none."""
        tab = self._by_key.get(key)
        if tab is None or tab.browser != browser:
            raise AccessError("there is no such tab.")
        return tab

    def sweep(self) -> None:
        """Deletes what was left too long ago, and the tabs whose sessions are gone."""
        now = time.monotonic()
        for name, tab in list(self._tabs.items()):
            if tab.num_pages < 1 and now - tab.left_at > self._left_s:
                self._service.sessions.drop(tab.session)
                del self._tabs[name], self._by_key[tab.key]
