"""Reports in a real browser: opened, compared, and harmless whatever they hold."""

from page_actions import PageUser
from playwright.sync_api import expect

BLOCKED = "Blocked script execution in 'about:srcdoc'"


def test_two_reports_are_compared_and_nothing_in_them_runs(user: PageUser) -> None:
    user.tab("Evaluation").click()
    user.choose("Report", "first")
    expect(user.page.frame_locator("iframe").get_by_text("accuracy 0.5")).to_be_visible()
    user.choose("Compare with", "second")
    expect(user.page.locator("iframe")).to_have_count(2)
    second = user.page.frame_locator("iframe >> nth=1")
    expect(second.get_by_role("heading", name="second")).to_be_visible()
    expect(second.locator("#state")).to_have_text("untouched")
    row = user.page.locator(".eo-figures tbody tr")
    expect(row).to_have_text(["Toyopticalaccuracy50.062.5+12.5"])
    assert user.errors and all(BLOCKED in error for error in user.errors)  # the browser tells of the script that it did not run
    user.errors.clear()
    assert "link" not in user.page.get_by_label("Report", exact=True).inner_text()
