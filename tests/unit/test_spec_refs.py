"""The spec coverage page: citations are found and ordered by section, whatever order the files come in."""

from tools.spec_refs import Citation, citations, page


def found(text: str) -> list[tuple[str, str, int]]:
    return [(citation.document, citation.section, citation.line) for citation in citations("core/src/aldis/core/x.py", text)]


def test_a_citation_names_document_section_and_line() -> None:
    assert found('"""Streams."""\n\n# RFC 6120 §4.9.3.2\n') == [("RFC 6120", "4.9.3.2", 3)]


def test_several_sections_belong_to_the_document_before_them() -> None:
    assert found("# RFC 6120 §4.2, §8; XEP-0198 §4") == [("RFC 6120", "4.2", 1), ("RFC 6120", "8", 1), ("XEP-0198", "4", 1)]


def test_a_bare_section_belongs_to_the_document_that_the_module_is_about() -> None:
    assert found('"""XEP-0199: XMPP Ping."""\n# the answer is empty (§4.2)\n') == [("XEP-0199", "", 1), ("XEP-0199", "4.2", 2)]


def test_a_bare_section_without_any_document_is_no_citation() -> None:
    assert found("# see §4") == []


def test_a_scenarios_decorator_is_a_citation() -> None:
    assert found('@rfc("6120", "4.9.3.2", "11.1")\n@xep("0199", "4.1")\n') == [
        ("RFC 6120", "4.9.3.2", 1),
        ("RFC 6120", "11.1", 1),
        ("XEP-0199", "4.1", 2),
    ]


def test_sections_are_ordered_by_number_and_tests_stand_beside_the_code() -> None:
    mentions = [
        Citation("RFC 6120", "10.1", "tests/unit/test_order.py", 7),
        Citation("RFC 6120", "4.9", "core/src/aldis/core/x.py", 3),
        Citation("RFC 6120", "10.1", "core/src/aldis/core/x.py", 9),
        Citation("RFC 6120", "10.1", "core/src/aldis/core/x.py", 12),
    ]
    assert page(mentions) == page(mentions[::-1])
    assert page(mentions).splitlines()[-2:] == [
        "| §4.9 | [core/x.py](../core/src/aldis/core/x.py) 3 |  |",
        "| §10.1 | [core/x.py](../core/src/aldis/core/x.py) 9 12 | [tests/unit/test_order.py](../tests/unit/test_order.py) 7 |",
    ]
