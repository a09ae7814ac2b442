# SPDX-License-Identifier: Apache-2.0
"""Prints the reference pages from the code. `script/golden` writes them; a test compares them."""

import ast
import enum
import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import typer

import strongroom
from strongroom import compose
from strongroom.cli.app import app
from strongroom.compose.payments import ADAPTERS
from strongroom.config.settings import described
from strongroom.identity.grants import GRANTABLE, breakable, granted_to
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.mode import Mode
from strongroom.kernel.permissions import Permission
from strongroom.kernel.principal import KeyKind, Role
from strongroom.payments.declines import ADVICE, STRICTNESS, Advice, DeclineCode
from strongroom.telemetry.fields import FIELDS
from strongroom.telemetry.metrics import Metrics

ROOT: Final = Path(__file__).parents[2]
REFERENCE: Final = ROOT / "docs" / "reference"
SOURCE: Final = Path(strongroom.__file__).parent
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What an error's class says of it."""

    name: str
    code: str
    status: int
    sentence: str
    retry_after_seconds: int | None
    #: Whether callers are told it; else it stands in logs and records, and they are told another.
    told: bool


# --- settings -----------------------------------------------------------------------------------------


def config_page() -> str:
    """Every setting."""
    rows = [(f"`{name}`", _code(default), sentence) for name, default, sentence in described()]
    return _page(
        "Settings",
        "Each is an environment variable. One that is unknown or cannot be read keeps Strongroom from starting, and "
        "all of them are named at once. A secret is given as a reference: `env:NAME` or `file:PATH`.",
        _table(("variable", "default", "what it is"), rows),
        "The command line as a client of a vault also reads `STRONGROOM_URL`, `STRONGROOM_CA` and `STRONGROOM_KEY` "
        "(see [the command line](cli.md)).",
    )


# --- errors -------------------------------------------------------------------------------------------


def errors() -> list[ErrorFacts]:
    """Return every error of the package that carries a code of its own, by code."""
    _import_everything()
    found: dict[str, ErrorFacts] = {}
    for each in _subclasses(StrongroomError):
        if "code" not in vars(each):
            continue
        code, sentence = each.code, _first_line(each.__doc__)
        assert code not in found, f"{code} is the code of two errors"
        retry = getattr(each, "retry_after_seconds", None)
        found[code] = ErrorFacts(
            each.__name__, code, each.status, sentence, retry, told=each.told_as is None
        )
    return [found[code] for code in sorted(found)]


def field_errors() -> dict[str, set[str]]:
    """Return the codes that stand in `errors[]` of an answer, each with its sentences."""
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "FieldError":
                code, sentence = node.args[1], node.args[2]
                assert isinstance(code, ast.Constant), f"{path}: a field's code is a constant"
                found.setdefault(str(code.value), set()).add(_sentence(sentence))
    return found


def errors_page() -> str:
    """Every error, and every code of a field."""
    over_http = [
        each
        for each in errors()
        if each.told and (each.status < _SERVER_ERROR or each.retry_after_seconds)
    ]
    others = [each for each in errors() if each not in over_http]
    answered = [
        (f"`{each.code}`", str(each.status), each.sentence, _retry(each)) for each in over_http
    ]
    said = [(f"`{each.code}`", each.sentence) for each in others]
    fields = [
        (f"`{code}`", " / ".join(sorted(sentences)))
        for code, sentences in sorted(field_errors().items())
    ]
    return _page(
        "Errors",
        "Over HTTP an error is a problem (RFC 9457) with `code`, `detail`, `request_id` and, for a body or a "
        "parameter, `errors[]`: a JSON pointer, a code and a sentence. None repeats a value that was sent. A code "
        "once shipped is never given another meaning. With 503 nothing was acknowledged: repeat the request under its "
        "`Idempotency-Key`.",
        "## Answers\n\n" + _table(("code", "status", "meaning", "retry"), answered),
        "## Codes in `errors[]`\n\n" + _table(("code", "sentence"), fields),
        "## On the command line, at start and in the log\n\n"
        "The command line prints code and sentence and exits with 1. Should one of these meet a request, the answer is "
        "500 with its code.\n\n" + _table(("code", "meaning"), said),
    )


def _retry(error: ErrorFacts) -> str:
    if error.retry_after_seconds is not None:
        return f"after {error.retry_after_seconds} s (`Retry-After`)"
    return (
        "a moment later"
        if error.code in {"idempotency_in_flight", "not_sealed_yet"}
        else "not as it is"
    )


# --- permissions --------------------------------------------------------------------------------------


def permissions_page() -> str:
    """Who may do what, and which routes ask for it."""
    asking: dict[str, list[str]] = {permission: [] for permission in Permission}
    for title, document in documents().items():
        for path, item in document["paths"].items():
            for method, operation in item.items():
                for permission in operation.get("x-requires", ()):
                    asking[permission].append(f"`{method.upper()} {path}` ({title})")
    kinds = (KeyKind.SECRET, KeyKind.RESTRICTED, KeyKind.PUBLIC)
    rows = [
        (
            f"`{permission}`",
            *("✓" if permission in GRANTABLE[kind] else "–" for kind in kinds),
            "<br>".join(sorted(asking[permission])) or "no route yet",
        )
        for permission in Permission
    ]
    return _page(
        "Permissions",
        "Keys have permissions by their kind, people and services by their role. Where a route names several, one is "
        "enough. Words once shipped are never reused.",
        "## Keys",
        "A secret key (`sk_`) has every permission of its column; a restricted key (`rk_`) has those it was made "
        "with, out of its column; a public key (`pk_`) may make single-use tokens and nothing else. A key made over "
        "HTTP never gets more than who makes it.",
        _table(("permission", "`sk_`", "`rk_`", "`pk_`", "asked for by"), rows),
        "Routes that ask for none: `/livez` and `/openapi.json`; and, from the operators' networks only, `/readyz` and "
        "`/metrics`.",
        "## People of a merchant, and services",
        "✓: in both modes. **test**: in test mode only. **glass**: not by the role, but for an hour by "
        "[breaking the glass](../howto/break-glass.md). A service has what it was made with, out of its column.",
        _roles_table((*_PEOPLE, Role.SERVICE), platform=False),
        "## People of the platform",
        "They see no merchant's payments, tokens or keys.",
        _roles_table(_PEOPLE, platform=True),
    )


_PEOPLE: Final = (Role.ADMIN, Role.AUDITOR, Role.OPERATOR, Role.DEVELOPER)


def _roles_table(roles: Sequence[Role], *, platform: bool) -> str:
    """Permissions that any of these roles can have, and how each has them."""
    rows = [
        (f"`{permission}`", *(_had_by(role, permission, platform=platform) for role in roles))
        for permission in Permission
    ]
    return _table(
        ("permission", *(role.value for role in roles)),
        [row for row in rows if set(row[1:]) != {"–"}],
    )


def _had_by(role: Role, permission: Permission, *, platform: bool) -> str:
    if permission in granted_to(role, Mode.LIVE, platform=platform):
        return "✓"
    if permission in granted_to(role, Mode.TEST, platform=platform):
        return "test"
    # A service is no person; nobody else takes what they have.
    return "glass" if permission in breakable(role, platform=platform) else "–"


# --- the command line ---------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command with its options and its example."""
    parts = [
        _command(words, command)
        for words, command in _commands(("strongroom",), typer.main.get_command(app))
    ]
    return _page(
        "The command line",
        "Answers go to standard output, everything else to standard error. Exit codes: 0 done, 1 refused or failed, 2 "
        "wrong usage. An argument that looks like a card number is refused before anything reads it: card numbers, "
        "CVCs and keys are given on standard input or in files. Commands find their installation by "
        "[the settings](config.md).",
        *parts,
    )


def _commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    for name in sorted(inner):
        if getattr(inner[name], "commands", None):
            yield from _commands((*words, name), inner[name])
        elif not inner[name].hidden:
            yield (*words, name), inner[name]


def _command(words: Sequence[str], command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [
        each for each in command.params if each.param_type_name == "option" and each.name != "help"
    ]
    line = [
        *words,
        *(_placeholder(each) for each in arguments),
        *(["[OPTIONS]"] if options else []),
    ]
    parts = [f"## `{' '.join(words)}`", _joined(command.help or ""), f"```\n{' '.join(line)}\n```"]
    rows = [(f"`{_placeholder(each)}`", each.help or "") for each in arguments]
    rows += [(_switch(each), _option_help(each)) for each in options]
    if rows:
        parts.append(_table(("", ""), rows))
    if command.epilog:
        parts.append(f"Example: `{command.epilog.removeprefix('Example: ')}`")
    return "\n\n".join(parts)


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper()
    return name if argument.required else f"[{name}]"


def _switch(option: Any) -> str:
    words = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    return words if option.is_flag else f"{words} `{_value(option)}`"


def _value(option: Any) -> str:
    """Say what an option takes: its words where it takes one of a few."""
    for kind in (option.type_descriptor.annotation, *get_args(option.type_descriptor.annotation)):
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return "|".join(str(each.value) for each in kind)
    return str(option.metavar or option.opts[0].lstrip("-")).upper()


def _option_help(option: Any) -> str:
    text = _joined(option.help or "")
    if option.required:
        text += " **Required.**"
    elif (
        not option.is_flag
        and option.default not in (None, "", [], ())
        and not callable(option.default)
    ):
        text += f" Default: `{getattr(option.default, 'value', option.default)}`."
    return text + (f" Also `{option.envvar}`." if option.envvar else "")


# --- what is seen from outside ------------------------------------------------------------------------


def telemetry_page() -> str:
    """Every metric and every field of a log line."""
    metrics = [
        (f"`{_exposed(family)}`", family.type, family.documentation, _labels(family))
        for family in sorted(Metrics().registry.collect(), key=lambda family: family.name)
    ]
    fields = [(f"`{name}`", meaning) for name, meaning in FIELDS.items()]
    return _page(
        "Metrics and log fields",
        "Labels are bounded: route templates and words of the code, never an id, a path, an address or a merchant. A "
        "log line is one JSON object; a field that is not on the list is dropped and counted.",
        "## Metrics\n\n" + _table(("metric", "type", "what it says", "labels"), metrics),
        "## Log fields\n\nThe first five are on every line.\n\n"
        + _table(("field", "meaning"), fields),
    )


def _exposed(family: Any) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _labels(family: Any) -> str:
    return ", ".join(f"`{each}`" for each in _LABELS.get(family.name, ()))


def _label_names() -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for (
        collector
    ) in Metrics().registry._collector_to_names:  # a family without children shows no labels
        names[collector._name] = tuple(collector._labelnames)  # type: ignore[attr-defined]
    return names


_LABELS: Final = _label_names()


# --- declines -----------------------------------------------------------------------------------------


def declines_page() -> str:
    """Every decline of ours with its advice, and what each processor's words become."""
    codes = [(f"`{code.value}`", f"`{ADVICE[code].value}`") for code in DeclineCode]
    advice = [(f"`{each.value}`", _meanings()[each.name]) for each in Advice]
    intro = (
        "A payment that was declined has a `decline_code` and an `advice`, the same whatever processor was asked; the "
        "processor's own word stays in the attempt's `reason`. A word that it did not publish is `generic_decline`. "
        "Where an issuer or a network gives stricter advice than the code's own, the stricter counts."
    )
    parts = [
        intro,
        "## Advice\n\nThe stricter first.\n\n"
        + _table(("advice", "what may be done"), sorted(advice, key=_strictness)),
        "## Codes\n\n" + _table(("decline code", "advice"), codes),
    ]
    for processor, words in sorted(published_declines().items()):
        package = _package(processor)
        advised = getattr(package, "ADVISED", {})
        rows = [
            (f"`{word}`", f"`{code.value}`", f"`{advised.get(word, ADVICE[code]).value}`")
            for word, code in sorted(words.items())
        ]
        parts.append(f"## {processor}\n\n" + _table(("its word", "ours", "advice"), rows))
        networks = getattr(package, "ADVICE_CODES", None)
        if networks is not None:
            beside = [(f"`{word}`", f"`{each.value}`") for word, each in sorted(networks.items())]
            told = "What a network advises beside it, where that is stricter:\n\n"
            parts.append(told + _table(("its advice code", "advice"), beside))
    return _page("Declines", *parts)


def published_declines() -> dict[str, Mapping[str, DeclineCode]]:
    """Return `DECLINES` of every processor's package that has it: the processor's words, and ours."""
    found = {}
    for name in ADAPTERS:
        words = getattr(_package(name), "DECLINES", None)
        if words is not None:
            found[name] = words
    return found


def _package(processor: str) -> ModuleType:
    return importlib.import_module(f"strongroom.payments.processors.{processor}")


def _meanings() -> dict[str, str]:
    """Return what the code says above each advice."""
    source = (SOURCE / "payments" / "declines.py").read_text("utf-8")
    told = re.findall(r"((?:    #: .*\n)+)    ([A-Z_]+) = ", source)
    return {name: _joined(text.replace("#:", "")) for text, name in told}


def _strictness(row: Sequence[str]) -> int:
    return [f"`{each.value}`" for each in STRICTNESS].index(row[0])


# --- OpenAPI ------------------------------------------------------------------------------------------


def documents() -> dict[str, dict[str, Any]]:
    """Return the OpenAPI document of each listener."""
    return {
        "vault": json.loads(compose.vault_document()),
        "gateway": json.loads(compose.gateway_document()),
        "webhooks": json.loads(compose.webhooks_document()),
        "console": json.loads(compose.console_document()),
    }


#: Every generated file and what prints it.
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "config.md": config_page,
    "declines.md": declines_page,
    "errors.md": errors_page,
    "event-schemas.json": lambda: compose.events_document().decode(),
    "openapi-console.json": lambda: compose.console_document().decode(),
    "openapi-gateway.json": lambda: compose.gateway_document().decode(),
    "openapi-webhooks.json": lambda: compose.webhooks_document().decode(),
    "openapi-vault.json": lambda: compose.vault_document().decode(),
    "permissions.md": permissions_page,
    "telemetry.md": telemetry_page,
}


# --- text ---------------------------------------------------------------------------------------------


def _page(title: str, *parts: str) -> str:
    note = "<!-- Generated from the code by script/golden. -->"
    return "\n\n".join((f"# {title}", note, *parts)) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _joined(text: str) -> str:
    return " ".join(text.split())


def _sentence(node: ast.expr) -> str:
    """Print a constant or an f-string; what is filled in shows as `…`."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return str(node.value) if isinstance(node, ast.Constant) else "…"


def _import_everything() -> None:
    for module in pkgutil.walk_packages(strongroom.__path__, "strongroom."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _subclasses(root: type[StrongroomError]) -> Sequence[type[StrongroomError]]:
    """Return a family with all that descend from it; one with two parents once."""
    found = {root: None}
    for each in root.__subclasses__():
        if each.__module__.startswith("strongroom"):
            found |= dict.fromkeys(_subclasses(each))
    return list(found)
