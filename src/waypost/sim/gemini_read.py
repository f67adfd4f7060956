"""Reads and judges a Gemini request as the provider does: what is asked, or a 400 in its words.

Follows https://ai.google.dev/api/generate-content and the messages that the live service gives. The model and whether
to stream are in the path, so not here.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers, words_wanted
from waypost.sim.gemini_shape import BODY, COUNTED, DATA, check_schema, complain, plain_schema, rename
from waypost.sim.shape import find_flaw
from waypost.sim.signing import Signer, is_sealed
from waypost.sim.tally import Tally

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}\Z")
_MODES = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")
_RANGES = {"temperature": (0, 2), "topP": (0, 1), "candidateCount": (1, 8), "maxOutputTokens": (1, 1 << 31)}
_MOST_STOPS = 5
# What Google takes in place of a signature that a history never had.
_NO_SIGNATURE = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_KINDS = {"image": "image", "audio": "recording"}


def read_gemini(body: Mapping[str, Any], model: str, *, strict: bool, size: int) -> Question:
    """`model`: the name without faults; `size`: bytes of the body, the most tokens that can be in it."""
    body = rename(body, BODY)
    flaw = find_flaw(body, BODY, strict=strict)
    if flaw is not None:
        raise complain(flaw)
    if not body.get("contents"):
        raise Rejected(400, "* GenerateContentRequest.contents: contents is not specified\n")
    if body.get("cachedContent") is not None:
        raise Rejected(403, "CachedContent not found (or permission denied)")
    tally = Tally()
    tools = _read_tools(body, tally)
    choose, chosen = _read_choice(body, tools)
    if chosen is not None and len(chosen) != 1:
        tools = tuple(tool for tool in tools if tool.name in chosen)
    _read_parts((body.get("systemInstruction") or {}).get("parts") or (), "system_instruction", tally)
    contents = body["contents"]
    text, media, results = _read_contents(contents, tally)
    _check_pairs(contents)
    _, settings = read_markers(text)
    config = body.get("generationConfig") or {}
    _check_config(config)
    tokens = min(tally.tokens, size)
    history = any(content.get("role") == "model" for content in contents)
    schema, json = _read_format(config)
    reasoning, shown = _read_thinking(config, model)
    return Question(
        model=model,
        text=text if not results else "",
        results=results,
        media=media,
        tools=tools,
        choose=choose,
        chosen=chosen[0] if chosen is not None and len(chosen) == 1 else None,
        schema=schema,
        json=json,
        max_output=config.get("maxOutputTokens"),
        stops=tuple(config.get("stopSequences") or ()),
        reasoning=reasoning,
        show_reasoning=shown,
        choices=config.get("candidateCount") or 1,
        include_usage=True,
        refuse="refuse" in settings,
        words=words_wanted(settings),
        input_tokens=tokens,
        # What the service caches by itself.
        cache_read=tokens * 3 // 4 // 128 * 128 if history and tokens >= 1024 else 0,
    )


def read_count(body: Mapping[str, Any], model: str, *, strict: bool, size: int) -> Question:
    """A countTokens request: contents, or a whole request."""
    body = rename(body, COUNTED)
    flaw = find_flaw(body, COUNTED, strict=strict)
    if flaw is not None:
        raise complain(flaw)
    return read_gemini(body.get("generateContentRequest") or body, model, strict=strict, size=size)


def _read_contents(
    contents: Sequence[Mapping[str, Any]], tally: Tally
) -> tuple[str, tuple[Media, ...], tuple[str, ...]]:
    """Text and media of the last user content; what functions answered, if that came last."""
    text = ""
    media: tuple[Media, ...] = ()
    results: tuple[str, ...] = ()
    for index, content in enumerate(contents):
        if content.get("role") not in (None, "user", "model", "function"):
            raise Rejected(400, "Please use a valid role: user, model.")
        parts = content.get("parts")
        if not parts:
            raise Rejected(
                400, f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
            )
        said, seen, told = _read_parts(parts, f"contents[{index}]", tally)
        results = tuple(told)
        if content.get("role") != "model" and (said or seen or not told):
            text, media = "\n".join(said), tuple(seen)
    return text, media, results


def _read_parts(
    parts: Sequence[Mapping[str, Any]], path: str, tally: Tally
) -> tuple[list[str], list[Media], list[str]]:
    said: list[str] = []
    media: list[Media] = []
    told: list[str] = []
    for index, part in enumerate(parts):
        place = f"{path}.parts[{index}]"
        signature = part.get("thoughtSignature")
        _check_signature(signature, place)
        held = [name for name in DATA if part.get(name) is not None]
        if len(held) > 1:
            raise Rejected(
                400, f"Invalid value at '{place}' (oneof), oneof field 'data' is already set. Cannot set '{held[1]}'"
            )
        match held:
            case ["text"]:
                tally.add_text(part["text"])
                if part.get("thought") is not True:
                    said.append(part["text"])
            case ["inlineData"]:
                media.append(_read_blob(part["inlineData"], place, tally))
            case ["fileData"]:
                media.append(Media(_kind(part["fileData"].get("mimeType") or ""), None))
                tally.add_media(len(part["fileData"]["fileUri"]))
            case ["functionResponse"]:
                tally.add_json(part["functionResponse"]["response"])
                told.append(_answer_text(part["functionResponse"]["response"]))
                blobs = [inner.get("inlineData") for inner in part["functionResponse"].get("parts") or ()]
                media.extend(_read_blob(blob, place, tally) for blob in blobs if blob)
            case [other]:
                tally.add_json(part[other])
            case _ if signature is None and not any(part.get(name) for name in ("toolCall", "toolResponse")):
                raise Rejected(
                    400,
                    f"* GenerateContentRequest.{place}.data: "
                    "required oneof field 'data' must have one initialized field\n",
                )
    return said, media, told


def _check_signature(signature: str | None, path: str) -> None:
    if signature is None or signature in _NO_SIGNATURE:
        return
    plain = signature.replace("-", "+").replace("_", "/")
    plain += "=" * (-len(plain) % 4)
    try:
        base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        raise Rejected(
            400, f"Invalid value at '{path}.thought_signature' (TYPE_BYTES), Base64 decoding failed"
        ) from None
    if not is_sealed(Signer.GEMINI, plain):
        raise Rejected(400, "Corrupted thought signature.")


def _read_blob(blob: Mapping[str, Any], path: str, tally: Tally) -> Media:
    data = blob["data"].replace("-", "+").replace("_", "/")
    try:
        size = len(base64.b64decode(data + "=" * (-len(data) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise Rejected(
            400, f"Invalid value at '{path}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        ) from None
    if "/" not in blob["mimeType"]:
        raise Rejected(400, f"Unsupported MIME type: {blob['mimeType']}")
    tally.add_media(size)
    return Media(_kind(blob["mimeType"]), size)


def _kind(mime_type: str) -> str:
    return _KINDS.get(mime_type.partition("/")[0], "document")


def _answer_text(response: Mapping[str, Any]) -> str:
    """What a function said: the one text in its answer, or all of it as text."""
    values = list(response.values())
    return values[0] if len(values) == 1 and isinstance(values[0], str) else str(response)


def _check_pairs(contents: Sequence[Mapping[str, Any]]) -> None:
    """A turn of function calls is followed by a turn that answers them all, of each name as many, and by no other."""
    pending: list[str] | None = None
    for content in contents:
        parts = content.get("parts") or ()
        answers = sorted(part["functionResponse"]["name"] for part in parts if part.get("functionResponse"))
        calls = sorted(part["functionCall"]["name"] for part in parts if part.get("functionCall"))
        if answers and pending is None:
            raise Rejected(
                400,
                "Please ensure that function response turn comes immediately after a function call turn.",
            )
        if pending is not None and len(answers) != len(pending):
            raise Rejected(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.",
            )
        if pending is not None and answers != pending:
            raise Rejected(400, f"Function responses {answers} do not name the functions that were called: {pending}.")
        pending = calls or None
    if pending is not None:
        raise Rejected(400, "Please ensure that function call turn is followed by a function response turn.")


def _read_tools(body: Mapping[str, Any], tally: Tally) -> tuple[Tool, ...]:
    read: list[Tool] = []
    for index, tool in enumerate(body.get("tools") or ()):
        tally.add_json(tool)
        for place, function in enumerate(tool.get("functionDeclarations") or ()):
            path = f"tools[{index}].function_declarations[{place}]"
            if not _NAME.match(function["name"]):
                raise Rejected(
                    400,
                    f"* GenerateContentRequest.{path}.name: Invalid function name. Must start with a letter or an "
                    "underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or "
                    "dashes (-), with a maximum length of 128.\n",
                )
            if any(one.name == function["name"] for one in read):
                raise Rejected(400, f"Duplicate function declaration found: {function['name']}")
            parameters, schema = function.get("parameters"), function.get("parametersJsonSchema")
            if parameters is not None and schema is not None:
                raise Rejected(
                    400, f"* GenerateContentRequest.{path}: parameters and parameters_json_schema are both set.\n"
                )
            if parameters is not None:
                check_schema(parameters, f"{path}.parameters")
                schema = plain_schema(parameters)
            read.append(Tool(function["name"], schema or {"type": "object"}))
    return tuple(read)


def _read_choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[Choose, tuple[str, ...] | None]:
    """Whether a function must be called, and which ones may be (None: any)."""
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = str(config.get("mode") or "AUTO").upper()
    if mode not in _MODES:
        raise Rejected(400, f"Invalid value at 'tool_config.function_calling_config.mode', \"{mode}\"")
    names = tuple(config.get("allowedFunctionNames") or ())
    if names and mode not in ("ANY", "VALIDATED"):
        raise Rejected(400, "Please set allowed_function_names only when function calling mode is ANY.")
    for name in names:
        if all(tool.name != name for tool in tools):
            raise Rejected(400, f"allowed_function_names: {name} is not declared in tools.")
    if mode == "ANY" and not tools:
        raise Rejected(400, "Function calling config is set without function_declarations.")
    choose = {"ANY": Choose.ANY, "NONE": Choose.NONE}.get(mode, Choose.AUTO)
    return choose, names or None


def _check_config(config: Mapping[str, Any]) -> None:
    for name, (least, most) in _RANGES.items():
        value = config.get(name)
        if value is not None and not least <= value <= most:
            raise Rejected(
                400,
                f"* GenerateContentRequest.generation_config.{name}: must be in the range [{least}, {most}]. "
                f"Provided: {value}\n",
            )
    if len(config.get("stopSequences") or ()) > _MOST_STOPS:
        raise Rejected(400, f"The number of stop sequences must be no more than {_MOST_STOPS}.")


def _read_format(config: Mapping[str, Any]) -> tuple[Any, bool]:
    kind = config.get("responseMimeType")
    schema, native = config.get("responseJsonSchema"), config.get("responseSchema")
    if kind not in (None, "text/plain", "application/json", "text/x.enum"):
        raise Rejected(
            400,
            f"* GenerateContentRequest.generation_config.response_mime_type: "
            "allowed mimetypes are `text/plain`, `application/json`, `text/x.enum`. "
            f"Provided: {kind}\n",
        )
    if schema is not None and native is not None:
        raise Rejected(400, "Only one of response_schema and response_json_schema may be set.")
    if (schema is not None or native is not None) and kind in (None, "text/plain"):
        raise Rejected(400, "Function calling or a response schema needs response_mime_type: 'application/json'.")
    if native is not None:
        check_schema(native, "generation_config.response_schema")
        schema = plain_schema(native)
    return schema, kind == "application/json"


def _read_thinking(config: Mapping[str, Any], model: str) -> tuple[bool, bool]:
    """Whether it thinks, and whether it shows what."""
    thinking = config.get("thinkingConfig") or {}
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise Rejected(400, "You can only set only one of thinking budget and thinking level.")
    if level is not None and level.upper() not in ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"):
        raise Rejected(400, f"Invalid value at 'generation_config.thinking_config.thinking_level', \"{level}\"")
    if budget is not None and budget < -1:
        raise Rejected(400, f"The thinking budget {budget} is invalid. Please choose a value between 0 and 24576.")
    asked = level is not None or bool(budget) or (budget is None and thinking.get("includeThoughts") is True)
    return asked or (budget != 0 and model.endswith("reasoner")), thinking.get("includeThoughts") is True
