"""Reads and judges a Bedrock Converse request as the provider does: what is asked, or a 400 in its words.

Follows https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and the messages that the live
service gives, for a model that thinks. The model and whether to stream are in the path, so not here.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from waypost.sim.bedrock_shape import BODY, complain
from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers, words_wanted
from waypost.sim.shape import find_flaw
from waypost.sim.signing import Signer, is_signed
from waypost.sim.tally import Tally

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}\Z")
_DOCUMENT_NAME = re.compile(r"[A-Za-z0-9()\[\] \-]{1,200}\Z")
_FORMATS = {
    "image": ("png", "jpeg", "gif", "webp"),
    "document": ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"),
    "video": ("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"),
    "audio": (
        "mp3",
        "opus",
        "wav",
        "aac",
        "flac",
        "mp4",
        "ogg",
        "mkv",
        "mka",
        "x-aac",
        "m4a",
        "mpeg",
        "mpga",
        "pcm",
        "webm",
    ),
}
_SEEN_AS = {"image": "image", "document": "document", "video": "recording", "audio": "recording"}
_MOST_MARKS = 4
_LEAST_THINKING = 1024


def read_bedrock(body: Mapping[str, Any], model: str, *, strict: bool, size: int) -> Question:
    """`model`: the name without faults; `size`: bytes of the body, the most tokens that can be in it."""
    flaw = find_flaw(body, BODY, strict=strict)
    if flaw is not None:
        raise complain(flaw)
    messages = body.get("messages")
    if not messages:
        raise Rejected(
            400, "A conversation must have at least one message. Try again with a conversation that has one."
        )
    config = body.get("inferenceConfig") or {}
    _check_config(config)
    tally = Tally()
    tools = _read_tools(body, tally)
    choose, chosen = _read_choice(body, tools)
    reasoning = _read_thinking(body, config, choose, model)
    for index, block in enumerate(body.get("system") or ()):
        _read_block(block, f"system.{index}", tally, [], [], [])
    text, media, results = _read_messages(messages, tally)
    _check_turns(messages, body)
    if len(tally.marks) > _MOST_MARKS:
        raise _failed(f"A maximum of 4 blocks with cache_control may be provided. Found {len(tally.marks)}.")
    read, written = tally.split_cache(any(message["role"] == "assistant" for message in messages))
    _, settings = read_markers(text)
    schema = _read_format(body)
    return Question(
        model=model,
        text=text if not results else "",
        results=results,
        media=media,
        tools=tools,
        choose=choose,
        chosen=chosen,
        schema=schema,
        json=schema is not None,
        max_output=config.get("maxTokens"),
        stops=tuple(config.get("stopSequences") or ()),
        reasoning=reasoning,
        include_usage=True,
        refuse="refuse" in settings,
        words=words_wanted(settings),
        input_tokens=min(tally.tokens, size),
        cache_read=read,
        cache_write=written,
        repeated={"paths": body.get("additionalModelResponseFieldPaths") or []},
    )


def _failed(message: str) -> Rejected:
    return Rejected(400, f"The model returned the following errors: {message}")


def _constraint(path: str, constraint: str) -> Rejected:
    return Rejected(400, f"1 validation error detected: Value at '{path}' failed to satisfy constraint: {constraint}")


def _check_config(config: Mapping[str, Any]) -> None:
    for name in ("temperature", "topP"):
        value = config.get(name)
        if value is not None and not 0 <= value <= 1:
            bound = "less than or equal to 1" if value > 1 else "greater than or equal to 0"
            raise _constraint(f"inferenceConfig.{name}", f"Member must have value {bound}")
    if config.get("maxTokens") is not None and config["maxTokens"] < 1:
        raise _constraint("inferenceConfig.maxTokens", "Member must have value greater than or equal to 1")
    if any(not stop for stop in config.get("stopSequences") or ()):
        raise _constraint("inferenceConfig.stopSequences", "Member must have length greater than or equal to 1")


def _read_tools(body: Mapping[str, Any], tally: Tally) -> tuple[Tool, ...]:
    config = body.get("toolConfig")
    if config is None:
        return ()
    if not config["tools"]:
        raise _constraint("toolConfig.tools", "Member must have length greater than or equal to 1")
    read: list[Tool] = []
    for index, tool in enumerate(config["tools"]):
        if "cachePoint" in tool:
            tally.mark()
        spec = tool.get("toolSpec")
        if spec is None:
            continue
        if not _TOOL_NAME.match(spec["name"]):
            path = f"toolConfig.tools.{index + 1}.member.toolSpec.name"
            raise _constraint(path, "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+")
        if spec.get("description") == "":
            path = f"toolConfig.tools.{index + 1}.member.toolSpec.description"
            raise _constraint(path, "Member must have length greater than or equal to 1")
        if any(one.name == spec["name"] for one in read):
            raise Rejected(400, f"The tool {spec['name']} is defined more than once in toolConfig.")
        if spec["inputSchema"]["json"].get("type") != "object":
            raise _failed(f"tools.{index}.custom.input_schema.type: Field required")
        tally.add_json(spec)
        read.append(Tool(spec["name"], spec["inputSchema"]["json"]))
    return tuple(read)


def _read_choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[Choose, str | None]:
    match (body.get("toolConfig") or {}).get("toolChoice"):
        case None | {"auto": dict()}:
            return Choose.AUTO, None
        case {"any": dict()}:
            return Choose.ANY, None
        case {"tool": {"name": str(name)}}:
            if all(tool.name != name for tool in tools):
                raise Rejected(400, f"The tool {name} in toolChoice is not defined in toolConfig.tools.")
            return Choose.ANY, name
        case _:
            raise Rejected(
                400, "Exactly one member of the union at 'toolConfig.toolChoice' must be set: auto, any, tool."
            )


def _read_thinking(body: Mapping[str, Any], config: Mapping[str, Any], choose: Choose, model: str) -> bool:
    fields = body.get("additionalModelRequestFields")
    if fields is None:
        return model.endswith("reasoner")
    if not isinstance(fields, dict):
        raise Rejected(400, "additionalModelRequestFields: must be an object.", kind="SerializationException")
    match fields.get("thinking") or fields.get("reasoning_config"):
        case None:
            return model.endswith("reasoner")
        case {"type": "disabled"}:
            return False
        case {"type": "enabled", "budget_tokens": int(budget)}:
            if budget < _LEAST_THINKING:
                raise _failed("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
            if budget >= (config.get("maxTokens") or 1 << 62):
                raise _failed("`max_tokens` must be greater than `thinking.budget_tokens`.")
        case {"type": "adaptive"}:
            pass
        case _:
            raise _failed("thinking: Input should match one of 'disabled', 'enabled', 'adaptive'")
    if choose is Choose.ANY:
        raise _failed("Thinking may not be enabled when tool_choice forces tool use.")
    if config.get("temperature") not in (None, 1):
        raise _failed("`temperature` may only be set to 1 when thinking is enabled.")
    return True


def _read_messages(
    messages: Sequence[Mapping[str, Any]], tally: Tally
) -> tuple[str, tuple[Media, ...], tuple[str, ...]]:
    """Text and media of the last user message, and what tools answered in it."""
    text = ""
    media: tuple[Media, ...] = ()
    results: tuple[str, ...] = ()
    for index, message in enumerate(messages):
        said: list[str] = []
        seen: list[Media] = []
        told: list[str] = []
        for place, block in enumerate(message["content"]):
            _read_block(block, f"messages.{index}.content.{place}", tally, said, seen, told)
        if message["role"] == "user":
            text, media, results = "\n".join(said), tuple(seen), tuple(told)
        if any("document" in block for block in message["content"]) and not said and not told:
            raise Rejected(400, "Your request includes a document block without a text block in the same message.")
    return text, media, results


def _read_block(
    block: Mapping[str, Any], path: str, tally: Tally, said: list[str], media: list[Media], told: list[str]
) -> None:
    ((kind, value),) = ((name, value) for name, value in block.items() if value is not None)
    match kind:
        case "text":
            if not value.strip():
                raise Rejected(
                    400,
                    f"The text field in the ContentBlock object at {path} is blank. Add text to the text field, and "
                    "try again.",
                )
            said.append(value)
            tally.add_text(value)
        case "image" | "document" | "video" | "audio":
            media.append(Media(_SEEN_AS[kind], _read_medium(kind, value, f"{path}.{kind}", tally)))
        case "cachePoint":
            tally.mark()
        case "reasoningContent":
            _read_reasoning(value, path, tally)
        case "toolUse":
            if not isinstance(value["input"], dict):
                raise Rejected(400, f"The value at {path}.toolUse.input is not a JSON object.")
            _check_use(value["toolUseId"], path)
            if not _TOOL_NAME.match(value["name"]):
                path = f"{path}.toolUse.name"
                raise _constraint(path, "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+")
            tally.add_text(value["name"])
            tally.add_json(value["input"])
        case "toolResult":
            _check_use(value["toolUseId"], path)
            if value.get("status") not in (None, "success", "error"):
                raise _constraint(f"{path}.toolResult.status", "Member must satisfy enum value set: [success, error]")
            inner: list[str] = []
            for index, part in enumerate(value["content"]):
                _read_block(part, f"{path}.toolResult.content.{index}", tally, inner, media, [])
            told.append("\n".join(inner))
        case "json":
            said.append(msgspec.json.encode(value).decode())
            tally.add_json(value)
        case _:
            tally.add_json(value)


def _check_use(identity: str, path: str) -> None:
    if not _TOOL_USE_ID.match(identity):
        raise _constraint(f"{path}.toolUseId", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+")


def _read_reasoning(value: Mapping[str, Any], path: str, tally: Tally) -> None:
    thought = value.get("reasoningText")
    if thought is None:
        _decoded_size(value["redactedContent"], f"{path}.reasoningContent.redactedContent")
        return
    signature = thought.get("signature")
    if signature is None:
        raise _failed(f"{path}.thinking.signature: Field required")
    if not is_signed(Signer.BEDROCK, thought["text"], signature):
        raise _failed(f"{path}: Invalid `signature` in `thinking` block")
    tally.add_text(thought["text"])


def _read_medium(kind: str, value: Mapping[str, Any], path: str, tally: Tally) -> int | None:
    """Bytes of a medium; None if it is only referred to."""
    held = value.get("format")
    if held is not None and held not in _FORMATS[kind]:
        raise _constraint(f"{path}.format", f"Member must satisfy enum value set: [{', '.join(_FORMATS[kind])}]")
    if kind == "document" and not _DOCUMENT_NAME.match(value["name"]):
        raise Rejected(
            400,
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
            "parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
        )
    match value["source"]:
        case {"bytes": str(data)}:
            size = _decoded_size(data, f"{path}.source.bytes")
        case {"text": str(text)}:
            size = len(text.encode("utf-8", "surrogatepass"))
        case {"s3Location": {"uri": str(uri)}}:
            if not uri.startswith("s3://"):
                raise _constraint(
                    f"{path}.source.s3Location.uri", "Member must satisfy regular expression pattern: s3://.*"
                )
            tally.add_media(len(uri))
            return None
        case other:
            tally.add_json(other)
            return None
    tally.add_media(size)
    return size


def _decoded_size(data: str, path: str) -> int:
    try:
        size = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise Rejected(400, f"Invalid base64 at '{path}'.", kind="SerializationException") from None
    if not size:
        raise _constraint(path, "Member must have length greater than or equal to 1")
    return size


def _check_turns(messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> None:
    """Roles alternate; tool calls are answered in the very next message, and only these are."""
    pending: list[str] = []
    before = "assistant"
    for index, message in enumerate(messages):
        role, path = message["role"], f"messages.{index}.content"
        if role not in ("user", "assistant"):
            raise _constraint(
                f"messages.{index + 1}.member.role", "Member must satisfy enum value set: [user, assistant]"
            )
        if not message["content"]:
            raise Rejected(
                400,
                f"The content field in the Message object at messages.{index} is empty. Add a ContentBlock "
                "object to the content field and try again.",
            )
        if index == 0 and role != "user":
            raise Rejected(
                400,
                "A conversation must start with a user message. Try again with a conversation that starts with a user "
                "message.",
            )
        if role == before:
            raise Rejected(
                400,
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again.",
            )
        before = role
        blocks = message["content"]
        results = [block["toolResult"]["toolUseId"] for block in blocks if block.get("toolResult")]
        uses = [block["toolUse"]["toolUseId"] for block in blocks if block.get("toolUse")]
        if (results or uses) and body.get("toolConfig") is None:
            raise Rejected(
                400, "The toolConfig field must be defined when using toolUse and toolResult content blocks."
            )
        if len(results) > len(pending):
            raise Rejected(
                400, f"The number of toolResult blocks at {path} exceeds the number of toolUse blocks of previous turn."
            )
        missing = [identity for identity in pending if identity not in results]
        if missing:
            raise Rejected(400, f"Expected toolResult blocks at {path} for the following Ids: {', '.join(missing)}")
        if len(set(uses)) != len(uses):
            raise Rejected(400, f"The toolUse blocks at {path} contain duplicate Ids.")
        pending = uses
    if pending:
        raise Rejected(
            400,
            f"Expected toolResult blocks at messages.{len(messages)}.content for the following Ids: "
            f"{', '.join(pending)}",
        )


def _read_format(body: Mapping[str, Any]) -> Any:
    wanted = (body.get("outputConfig") or {}).get("textFormat")
    if wanted is None:
        return None
    if wanted["type"] != "json_schema":
        raise _constraint("outputConfig.textFormat.type", "Member must satisfy enum value set: [json_schema]")
    try:
        schema = msgspec.json.decode(wanted["structure"]["jsonSchema"]["schema"])
    except (msgspec.DecodeError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise Rejected(400, "The value at outputConfig.textFormat.structure.jsonSchema.schema is not a JSON schema.")
    return schema
