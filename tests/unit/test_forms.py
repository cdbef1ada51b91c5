"""XEP-0004: data forms; XEP-0068: what gives their fields meaning."""

import pytest
from lxml import etree

from aldis.core.xmpp.errors.stanza import BadRequest
from aldis.core.xmpp.forms import Field, FieldType, Form, FormType, InvalidField, Option
from aldis.core.xmpp.jid import Jid

BOT = Form(
    type=FormType.FORM,
    title="Bot Configuration",
    instructions=("Fill out this form to configure your new bot!",),
    fields=(
        Field(var="FORM_TYPE", type=FieldType.HIDDEN, values=("jabber:bot",)),
        Field(type=FieldType.FIXED, values=("Section 1: Bot Info",)),
        Field(var="botname", type=FieldType.TEXT_SINGLE, label="The name of your bot"),
        Field(var="description", type=FieldType.TEXT_MULTI),
        Field(var="public", type=FieldType.BOOLEAN, label="Public bot?", required=True),
        Field(var="password", type=FieldType.TEXT_PRIVATE),
        Field(
            var="features",
            type=FieldType.LIST_MULTI,
            options=(Option("contests", "Contests"), Option("news", "News"), Option("search")),
            values=("news", "search"),
        ),
        Field(var="maxsubs", type=FieldType.LIST_SINGLE, values=("20",), options=(Option("20", "20"), Option("none", "None"))),
        Field(var="invitelist", type=FieldType.JID_MULTI, desc="Tell all your friends about your new bot!"),
        Field(var="owner", type=FieldType.JID_SINGLE),
        Field(var="colour", type=FieldType.LIST_SINGLE),
    ),
)


def form(content: str, type_: str = "submit") -> Form:
    found = Form.child_of(etree.fromstring(f"<query><x xmlns='jabber:x:data' type='{type_}'>{content}</x></query>"))
    assert found is not None
    return found


def submitted(**values: str | tuple[str, ...]) -> Form:
    """A submission that says whether the bot is public, and these."""
    fields = {"public": "0"} | values
    return Form(
        type=FormType.SUBMIT,
        fields=tuple(Field(var=var, values=(value,) if isinstance(value, str) else value) for var, value in fields.items()),
    )


def test_a_form_survives_xml() -> None:
    assert Form.from_xml(etree.fromstring(etree.tostring(BOT.to_xml()))) == BOT


def test_a_table_of_results_survives_xml() -> None:
    table = Form(
        type=FormType.RESULT,
        title="Joogle Search: verona",
        reported=(Field(var="name", type=FieldType.TEXT_SINGLE, label="Name"), Field(var="url")),
        items=((Field(var="name", values=("Hellas",)), Field(var="url", values=("http://www.hellasverona.it/",))), (Field(var="name"),)),
    )

    assert Form.from_xml(etree.fromstring(etree.tostring(table.to_xml()))) == table


def test_a_form_is_written_as_the_xep_shows() -> None:
    written = Form(
        type=FormType.FORM,
        fields=(Field(var="public", type=FieldType.BOOLEAN, required=True), Field(var="n", values=("1",), options=(Option("1", "One"),))),
    ).to_xml()

    assert etree.tostring(written).decode() == (
        '<x xmlns="jabber:x:data" type="form"><field var="public" type="boolean"><required/></field>'
        '<field var="n"><value>1</value><option label="One"><value>1</value></option></field></x>'
    )


def test_a_payload_without_a_form_has_none() -> None:
    assert Form.child_of(etree.fromstring("<query><x xmlns='jabber:x:other'/></query>")) is None


def test_a_field_without_a_type_is_text_in_a_form_and_untyped_elsewhere() -> None:
    assert form("<field var='a'/>", "form")["a"].type is FieldType.TEXT_SINGLE
    assert form("<field var='a'/>")["a"].type is None
    assert form("<field var='a' type='x-colour'/>")["a"].type is FieldType.TEXT_SINGLE


@pytest.mark.parametrize(
    ("content", "type_", "says"),
    [
        ("", "error", "type"),
        ("", "", "type"),
        ("<field/>", "submit", "no var"),
        ("<field type='hidden'/>", "form", "no var"),
        ("<field var='a'/><field var='a'/>", "submit", "'a'"),
        ("<field var='a' type='list-single'><option label='x'/></field>", "form", "'a'"),
        ("<field var='a' type='list-single'><option><value/><value/></option></field>", "form", "'a'"),
    ],
)
def test_what_is_no_form_is_refused(content: str, type_: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        form(content, type_)


@pytest.mark.parametrize(
    ("content", "type_", "found"),
    [
        ("<field var='FORM_TYPE' type='hidden'><value>jabber:bot</value></field>", "form", "jabber:bot"),
        ("<field var='FORM_TYPE'><value>jabber:bot</value></field>", "form", None),
        ("<field var='FORM_TYPE'><value>jabber:bot</value></field>", "submit", "jabber:bot"),
        ("<field var='FORM_TYPE' type='text-single'><value>jabber:bot</value></field>", "submit", None),
        ("<field var='FORM_TYPE' type='hidden'/>", "submit", None),
        ("", "submit", None),
    ],
)
def test_the_form_type_is_hidden(content: str, type_: str, found: str | None) -> None:
    assert form(content, type_).form_type == found


def test_a_submission_comes_back_typed_and_in_one_spelling() -> None:
    accepted = BOT.accept(
        form(
            """<field var='FORM_TYPE' type='hidden'><value>jabber:bot</value></field>
            <field var='public'><value>true</value></field>
            <field var='description'><value>one</value><value/><value>three</value></field>
            <field var='features'><value>news</value><value>contests</value><value>news</value></field>
            <field var='maxsubs'><value>none</value></field>
            <field var='invitelist'><value>Juliet@Capulet.com</value><value>juliet@capulet.com</value><value> romeo@x </value></field>
            <field var='owner'><value>NURSE@capulet.com/x</value></field>
            <field var='nobody-knows'><value>this</value></field>"""
        )
    )

    assert (accepted.type, accepted.form_type) == (FormType.SUBMIT, "jabber:bot")
    assert {field.var: field.values for field in accepted.fields} == {
        "FORM_TYPE": ("jabber:bot",),
        "public": ("1",),
        "description": ("one", "", "three"),
        "features": ("news", "contests"),
        "maxsubs": ("none",),
        "invitelist": ("juliet@capulet.com", "romeo@x"),
        "owner": ("nurse@capulet.com/x",),
    }
    assert accepted["public"].boolean
    assert accepted["description"].text == "one\n\nthree"
    assert accepted["invitelist"].jids == (Jid.parse("juliet@capulet.com"), Jid.parse("romeo@x"))
    assert accepted["owner"].jid == Jid.parse("nurse@capulet.com/x")


def test_what_was_left_out_is_not_there_and_what_was_emptied_is_empty() -> None:
    accepted = BOT.accept(submitted(botname="", owner=(), invitelist=("", "")))

    assert accepted.get("password") is None
    assert [accepted[var].values for var in ("botname", "owner", "invitelist")] == [(), (), ()]
    assert (accepted["botname"].text, accepted["owner"].jid, accepted["invitelist"].jids) == ("", None, ())
    with pytest.raises(KeyError):
        accepted["password"]


def test_without_options_a_list_takes_anything() -> None:
    assert BOT.accept(submitted(colour="red"))["colour"].values == ("red",)


@pytest.mark.parametrize(("value", "means"), [("0", False), ("1", True), ("false", False), ("true", True), (" 1 ", True)])
def test_a_boolean_has_four_spellings(value: str, means: bool) -> None:
    assert BOT.accept(submitted(public=value))["public"].boolean is means


@pytest.mark.parametrize(
    ("var", "value"),
    [
        ("public", ""),
        ("public", "yes"),
        ("public", "TRUE"),
        ("public", ("0", "1")),
        ("botname", ("one", "two")),
        ("password", ("one", "two")),
        ("features", "dancing"),
        ("features", ("news", "")),
        ("maxsubs", "30"),
        ("maxsubs", ("20", "none")),
        ("owner", "@"),
        ("owner", ("a@b", "c@d")),
        ("invitelist", ("a@b", "@")),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(var: str, value: str | tuple[str, ...]) -> None:
    with pytest.raises(InvalidField, match=f"'{var}'"):
        BOT.accept(submitted(**{var: value}))


def test_a_required_field_is_required() -> None:
    with pytest.raises(InvalidField, match="'public' is required"):
        BOT.accept(Form(type=FormType.SUBMIT))


def test_a_submission_to_another_form_is_refused() -> None:
    with pytest.raises(BadRequest, match="jabber:bot"):
        BOT.accept(submitted(FORM_TYPE="jabber:iq:register"))
    with pytest.raises(BadRequest, match="submit"):
        BOT.accept(Form(type=FormType.CANCEL))


def test_values_are_read_as_what_they_are_even_without_a_form() -> None:
    assert not Field(var="a").boolean
    with pytest.raises(InvalidField, match="'a' takes one value"):
        _ = Field(var="a", values=("x@y", "z@y")).jid
    with pytest.raises(InvalidField, match="'a' takes 0, 1, false or true"):
        _ = Field(var="a", values=("x",)).boolean
