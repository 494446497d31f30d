import re

from eocore.evaluate.reporting.pages import Heading, Note, PageOptions, Picture, page_html
from eocore.evaluate.reporting.tables import TextTable

TABLE = TextTable("Per <cent> [%]", ("input", "a|b"), (("<sar>", "[1, 2]"),), num_labels=1)


def test_every_text_is_escaped_and_figures_are_aligned():
    picture = Picture('a "chart"', "chart.png", b"png")
    text = page_html("A & B", [TABLE, Note("<note>"), Heading("<b>"), picture], options=PageOptions("1 < 2", level=4))
    assert "<title>A &amp; B</title>" in text
    assert "<h4>Per &lt;cent&gt; [%]</h4>" in text
    assert '<td>&lt;sar&gt;</td><td class="figure">[1, 2]</td>' in text
    assert '<p class="note">&lt;note&gt;</p>' in text and '<p class="note">1 &lt; 2</p>' in text
    assert "<h2>&lt;b&gt;</h2>" in text
    assert 'alt="a &#34;chart&#34;" src="data:image/png;base64,cG5n"' in text


def test_a_table_without_rows_is_left_out():
    assert "None" not in page_html("Title", [TextTable("None", ("a",), ())])


def test_a_picture_need_not_be_headed():
    text = page_html("Title", [Picture("chart", "chart.png", b"", headed=False)], options=PageOptions(long_cells=True))
    assert not re.search("<h[2-6]>", text) and '<body class="long">' in text
