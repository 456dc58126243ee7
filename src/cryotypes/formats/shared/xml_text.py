"""XML: which element is the outermost, and the tree, with nothing declared that could expand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

# what may stand before the root of XML; nothing is tried twice, so that it takes linear time
_PROLOGUE = r"\s*+(?:(?><\?.*?\?>)\s*+|(?><!--.*?-->)\s*+)*+"


def has_root(text: str, tag: str) -> bool:
    """Whether a text begins as XML with this outermost element."""
    return re.match(rf"\ufeff?{_PROLOGUE}<{tag}[\s/>]", text, re.DOTALL) is not None


def parse_xml(text: str, tag: str, path: Path) -> ET.Element:
    """Parse XML, which may declare nothing, with this outermost element.

    Raises
    ------
    ReadError
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ReadError("a document type or entities are declared, which is refused", path)
    try:
        # UTF-8, whatever the declaration says of the file
        root = ET.fromstring(text.encode(), ET.XMLParser(encoding="utf-8"))
    except (ET.ParseError, ValueError) as error:
        raise ReadError(f"expected XML ({error})", path) from error
    if root.tag != tag:
        raise ReadError(f"expected a {tag}, found {root.tag}", path)
    return root
