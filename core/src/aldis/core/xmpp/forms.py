"""XEP-0004: Data Forms, and the FORM_TYPE of XEP-0068."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from lxml import etree

from aldis.core.xmpp.element import child, element
from aldis.core.xmpp.errors.stanza import BadRequest, JidMalformed
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import DATA_FORMS

_FORM_TYPE: Final = "FORM_TYPE"


class FormType(StrEnum):
    """What a form is for (§3.1)."""

    FORM = "form"
    """Please fill this in."""
    SUBMIT = "submit"
    """Here it is."""
    CANCEL = "cancel"
    """I'd rather not."""
    RESULT = "result"
    """Here is what you asked for."""


class FieldType(StrEnum):
    """What a field holds (§3.3)."""

    BOOLEAN = "boolean"
    FIXED = "fixed"
    HIDDEN = "hidden"
    JID_MULTI = "jid-multi"
    JID_SINGLE = "jid-single"
    LIST_MULTI = "list-multi"
    LIST_SINGLE = "list-single"
    TEXT_MULTI = "text-multi"
    TEXT_PRIVATE = "text-private"
    TEXT_SINGLE = "text-single"


_MULTI: Final = frozenset({FieldType.JID_MULTI, FieldType.LIST_MULTI, FieldType.TEXT_MULTI, FieldType.HIDDEN})
_JIDS: Final = frozenset({FieldType.JID_MULTI, FieldType.JID_SINGLE})
_LISTS: Final = frozenset({FieldType.LIST_MULTI, FieldType.LIST_SINGLE})
_BOOLEANS: Final = {"0": False, "false": False, "1": True, "true": True}


class InvalidField(BadRequest):
    """A value that its field can't hold, or one that is missing; the text names the field."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a list."""

    value: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field with its values; `type` is None where a submission leaves it to the form (§3.2)."""

    var: str | None = None
    type: FieldType | None = None
    values: tuple[str, ...] = ()
    label: str | None = None
    desc: str | None = None
    required: bool = False
    options: tuple[Option, ...] = ()

    @property
    def text(self) -> str:
        """The values as text, a line each."""
        return "\n".join(self.values)

    @property
    def boolean(self) -> bool:
        """The value as a boolean; false where there is none (§3.3)."""
        return bool(self.values) and self._boolean(self._single())

    @property
    def jid(self) -> Jid | None:
        """The value as an address."""
        return self._jid(self._single()) if self.values else None

    @property
    def jids(self) -> tuple[Jid, ...]:
        """The values as addresses, without repetitions (§3.3)."""
        return tuple(dict.fromkeys(map(self._jid, self.values)))

    def accept(self, values: tuple[str, ...]) -> "Field":
        """This field filled in with submitted values, each in its canonical spelling."""
        if not any(values):
            values = ()  # §3.6: `<value/>` and no value at all both say "nothing"
        if self.required and not values:
            raise self.invalid("is required")
        if self.type not in _MULTI and len(values) > 1:
            raise self.invalid("takes one value")
        return replace(self, values=self._canonical(values))

    def invalid(self, why: str) -> InvalidField:
        """The error that names this field; handlers raise it, too, for rules of their own."""
        return InvalidField(f"the field {self.var!r} {why}")

    def _canonical(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if self.type in _JIDS:
            return tuple(dict.fromkeys([str(self._jid(value)) for value in values]))
        if self.type is FieldType.BOOLEAN:
            return tuple(["1" if self._boolean(value) else "0" for value in values])
        if self.type in _LISTS:
            known = {option.value for option in self.options}
            if known and not known.issuperset(values):
                raise self.invalid("takes only the options that were offered")
            return tuple(dict.fromkeys(values))
        return values

    def _single(self) -> str:
        if len(self.values) > 1:
            raise self.invalid("takes one value")
        return self.values[0]

    def _boolean(self, value: str) -> bool:
        try:
            return _BOOLEANS[value.strip()]
        except KeyError:
            raise self.invalid("takes 0, 1, false or true") from None

    def _jid(self, value: str) -> Jid:
        try:
            return Jid.parse(value.strip())
        except JidMalformed as error:
            raise self.invalid(f"takes an address: {error.text}") from None

    @classmethod
    def from_xml(cls, xml: etree._Element, default: FieldType | None = None) -> "Field":
        """Read a `<field/>`."""
        var = xml.get("var")
        type_ = _field_type(xml.get("type"), default)
        if var is None and type_ is not FieldType.FIXED:  # §3.2
            raise BadRequest("a field of the form has no var")
        return cls(
            var=var,
            type=type_,
            values=_texts(xml, "value"),
            label=xml.get("label"),
            desc="\n".join(_texts(xml, "desc")) or None,
            required=xml.find(_name("required")) is not None,
            options=tuple([_option(option, var) for option in xml.findall(_name("option"))]),
        )

    def to_xml(self, parent: etree._Element) -> None:
        """Append the `<field/>` to a form, an item or the like."""
        made = child(parent, "field")
        for name, value in (("var", self.var), ("type", self.type), ("label", self.label)):
            if value is not None:
                made.set(name, value)
        if self.desc is not None:
            child(made, "desc", self.desc)
        if self.required:
            child(made, "required")
        for value in self.values:
            child(made, "value", value)
        for option in self.options:
            choice = child(made, "option")
            if option.label is not None:
                choice.set("label", option.label)
            child(choice, "value", option.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form, a submission or a result."""

    type: FormType
    fields: tuple[Field, ...] = ()
    title: str | None = None
    instructions: tuple[str, ...] = ()
    reported: tuple[Field, ...] = ()
    """The head of a table of results (§3.4)."""
    items: tuple[tuple[Field, ...], ...] = ()

    def __getitem__(self, var: str) -> Field:
        """The field of that name; raises `KeyError`."""
        field = self.get(var)
        if field is None:
            raise KeyError(var)
        return field

    def get(self, var: str) -> Field | None:
        """The field of that name, or None where it was left out, which means "as it was" (§3.5)."""
        return next((field for field in self.fields if field.var == var), None)

    @property
    def form_type(self) -> str | None:
        """What gives the fields their meaning; one that is not hidden does not count, but for a submission (XEP-0068)."""
        field = self.get(_FORM_TYPE)
        if field is None or not field.values:
            return None
        hidden = field.type is FieldType.HIDDEN or (field.type is None and self.type is FormType.SUBMIT)
        return field.values[0] if hidden else None

    def accept(self, submission: "Form") -> "Form":
        """Check a submission against this form; what it returns has only fields of this form, typed, in canonical spelling.

        Fields that are not ours are passed over (§3.1); those left out stay left out, unless they are required.
        """
        if submission.type is not FormType.SUBMIT:
            raise BadRequest("a form of type submit is needed")
        if self.form_type is not None and submission.form_type not in (None, self.form_type):
            raise BadRequest(f"the form is not of FORM_TYPE {self.form_type}")
        return Form(type=FormType.SUBMIT, fields=tuple(self._accepted(submission)))

    def _accepted(self, submission: "Form") -> list[Field]:
        accepted = []
        for field in self.fields:
            if field.var is None or field.type is FieldType.FIXED:
                continue
            if field.var == _FORM_TYPE:
                accepted.append(field)
                continue
            submitted = submission.get(field.var)
            if submitted is not None:
                accepted.append(field.accept(submitted.values))
            elif field.required:
                raise field.invalid("is required")
        return accepted

    @classmethod
    def from_xml(cls, xml: etree._Element) -> "Form":
        """Read an `<x/>`."""
        try:
            type_ = FormType(xml.get("type", ""))
        except ValueError:
            raise BadRequest("a form is of type form, submit, cancel or result") from None
        default = FieldType.TEXT_SINGLE if type_ is FormType.FORM else None  # §3.2
        reported = xml.find(_name("reported"))
        return cls(
            type=type_,
            fields=_fields(xml, default),
            title="\n".join(_texts(xml, "title")) or None,
            instructions=_texts(xml, "instructions"),
            reported=() if reported is None else _fields(reported),
            items=tuple([_fields(item) for item in xml.findall(_name("item"))]),
        )

    @classmethod
    def child_of(cls, parent: etree._Element) -> "Form | None":
        """Read the `<x/>` in a payload, if there is one."""
        xml = parent.find(_name("x"))
        return None if xml is None else cls.from_xml(xml)

    def to_xml(self) -> etree._Element:
        """Make the `<x/>`."""
        made = element(DATA_FORMS, "x", type=self.type.value)
        if self.title is not None:
            child(made, "title", self.title)
        for line in self.instructions:
            child(made, "instructions", line)
        for field in self.fields:
            field.to_xml(made)
        if self.reported:
            _append_fields(made, "reported", self.reported)
        for item in self.items:
            _append_fields(made, "item", item)
        return made


def _name(local: str) -> str:
    return f"{{{DATA_FORMS}}}{local}"


def _texts(xml: etree._Element, name: str) -> tuple[str, ...]:
    return tuple([found.text or "" for found in xml.findall(_name(name))])


def _append_fields(parent: etree._Element, name: str, fields: tuple[Field, ...]) -> None:
    row = child(parent, name)
    for field in fields:
        field.to_xml(row)


def _fields(xml: etree._Element, default: FieldType | None = None) -> tuple[Field, ...]:
    fields = tuple([Field.from_xml(found, default) for found in xml.findall(_name("field"))])
    seen = set[str]()
    for field in fields:
        if field.var is not None:
            if field.var in seen:  # §3.2: a var is unique in its form
                raise field.invalid("is there twice")
            seen.add(field.var)
    return fields


def _field_type(text: str | None, default: FieldType | None) -> FieldType | None:
    if text is None:
        return default
    try:
        return FieldType(text)
    except ValueError:
        return FieldType.TEXT_SINGLE  # §3.3: what stands for a type that one does not know


def _option(xml: etree._Element, var: str | None) -> Option:
    values = _texts(xml, "value")
    if len(values) != 1:  # §3.2
        raise InvalidField(f"an option of the field {var!r} has not exactly one value")
    return Option(values[0], xml.get("label"))
