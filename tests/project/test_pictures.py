# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the documentation are those of their sources, are shown somewhere, and say in words what they show."""

import re
import shutil
import xml.etree.ElementTree as ET

import draw_pictures
import pytest

PAGES = [draw_pictures.ROOT / "README.md", *sorted((draw_pictures.ROOT / "docs").glob("*.md"))]
SOURCES = draw_pictures.find_sources()
CALLED = re.compile(r"!\[([^]]*)\]\(([^)]+)\)")


def find_called():
    return {(page.parent / path).resolve(): words for page in PAGES
            for words, path in CALLED.findall(page.read_text(encoding="utf-8"))}


@pytest.fixture
def copied(monkeypatch, tmp_path):
    """The folder of pictures, to be changed."""
    folder = tmp_path / "docs" / "pictures"
    shutil.copytree(draw_pictures.PICTURES, folder)
    monkeypatch.setattr(draw_pictures, "ROOT", tmp_path)
    monkeypatch.setattr(draw_pictures, "PICTURES", folder)
    return folder


def test_every_picture_is_drawn_from_its_source_as_it_is():
    assert SOURCES
    assert draw_pictures.find_stale(SOURCES) == []


@pytest.mark.parametrize("changed", ["routing.dot", "style.css"])
def test_a_changed_source_or_style_is_noticed(copied, changed):
    with (copied / changed).open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert any("routing.svg is not drawn from routing.dot" in each
               for each in draw_pictures.find_stale(draw_pictures.find_sources()))


def test_pictures_without_a_source_and_sources_without_a_picture_are_noticed(copied):
    (copied / "routing.dot").rename(copied / "other.dot")
    wrong = draw_pictures.find_stale(draw_pictures.find_sources())
    assert len(wrong) == 2 and "other.svg" in wrong[0] and "routing.svg has no source" in wrong[1]


def test_every_picture_is_on_a_page_which_says_in_words_what_it_shows():
    called = find_called()
    assert {source.with_suffix(".svg") for source in SOURCES} == set(called)
    assert all(len(words) > 40 for words in called.values()), called


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_pictures_are_svg_that_shows_its_text_and_calls_nothing_from_elsewhere(source):
    root = ET.parse(source.with_suffix(".svg")).getroot()
    shown = " ".join(each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text"))
    said = re.findall(r'label="([^"]+)"', source.read_text(encoding="utf-8"))
    words = {word for label in said for word in re.split(r"\\[nl]|\s", label) if word}
    assert words and all(word in shown for word in words), words - set(shown.split())
    hrefs = [value for each in root.iter() for name, value in each.attrib.items() if name.endswith("href")]
    assert hrefs == []
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
