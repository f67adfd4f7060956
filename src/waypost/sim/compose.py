"""Makes up an answer: the same for the same seed and question, whichever protocol asked and whether streamed or not.

Knows what was asked. Refuses to know protocols, sockets and faults.
"""

import re
from collections.abc import Callable

import msgspec

from waypost.sim.dice import draw
from waypost.sim.exchange import Answer, Choice, Choose, Media, Question, Stop, Tool, ToolCall
from waypost.sim.schema import build_instance
from waypost.sim.tokens import count_tokens, split_tokens

MOST_WORDS = 100_000

# 64 of them, so that six bits choose one. Some are not ASCII: whoever cuts bytes carelessly should notice.
_WORDS_TEXT = """
    amber anchor apple arrow autumn basin beacon birch bridge bronze café canyon candle cedar cinder cloud copper
    coral cotton crane delta desert ember façade feather fern flint forest garden glacier granite harbor hazel heron
    island ivory jasmine juniper kettle lantern lemon linen maple marble meadow mirror naïve nectar oasis ocean
    olive orchard pebble pepper prairie quartz raven river saffron sierra summit Übung velvet 日本語
"""
_WORDS = _WORDS_TEXT.split()
_NAME_PART = re.compile(r"[A-Za-z]{4,}")
_CAPITALISED = re.compile(r"(?<=\s)[A-Z][a-z]{2,}")


def compose_answer(question: Question, seed: int) -> Answer:
    drawn = draw(seed, question.model, question.text, *question.results, *(one.size for one in question.media))
    # Each choice but the first has chance of its own.
    chances = [drawn, *(draw(seed, drawn.hex(), index) for index in range(1, question.choices))]
    choices = tuple(_compose_choice(question, chance) for chance in chances)
    reasoning = sum(count_tokens(choice.reasoning) for choice in choices)
    return Answer(
        token=drawn.hex()[:24],
        choices=choices,
        output_tokens=max(1, reasoning + sum(map(_spoken_tokens, choices))),
        reasoning_tokens=reasoning,
    )


def _spoken_tokens(choice: Choice) -> int:
    spoken = count_tokens(choice.text) + count_tokens(choice.refusal or "")
    return spoken + sum(map(_call_tokens, choice.calls)) if choice.calls else spoken


def _call_tokens(call: ToolCall) -> int:
    return count_tokens(call.name) + count_tokens(encode_arguments(call))


def encode_arguments(call: ToolCall) -> str:
    return msgspec.json.encode(call.arguments).decode()


def _compose_choice(question: Question, drawn: bytes) -> Choice:
    limit = question.max_output if question.max_output is not None else 1 << 62
    reasoning = _reason(question, drawn, limit) if question.reasoning else ""
    limit -= count_tokens(reasoning)
    if question.refuse:
        return Choice(reasoning=reasoning, refusal="I can't help with that.", stop=Stop.REFUSAL)
    calls = _call_tools(question, drawn)
    if calls and sum(map(_call_tokens, calls)) <= limit:
        lead = "" if drawn[2] & 1 or question.choose is Choose.ANY else "One moment."
        if sum(map(_call_tokens, calls)) + count_tokens(lead) > limit:
            lead = ""
        return Choice(reasoning=reasoning, text=lead, calls=calls, stop=Stop.TOOLS)
    return _finish(question, reasoning, _say(question, drawn), limit)


def _finish(question: Question, reasoning: str, text: str, limit: int) -> Choice:
    """Cuts a text where a stop sequence or the limit says so."""
    stop, found = Stop.END, None
    for sequence in question.stops:
        place = text.find(sequence)
        if place >= 0:
            text, stop, found = text[:place], Stop.SEQUENCE, sequence
    tokens = split_tokens(text)
    if len(tokens) > limit:
        text, stop, found = "".join(tokens[:limit]), Stop.LENGTH, None
    return Choice(reasoning=reasoning, text=text, stop=stop, stop_sequence=found)


def _say(question: Question, drawn: bytes) -> str:
    if question.json or question.schema is not None:
        schema = question.schema
        if schema is None:
            schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
        return msgspec.json.encode(build_instance(schema, _speaker(drawn))).decode()
    if question.model.endswith("echo"):
        return question.text
    count = question.words if question.words is not None else 8 + drawn[0] % 24
    said = [_describe(media) for media in question.media]
    if question.results:
        said.append(f"The tools said {_quote(' '.join(question.results))}.")
    elif question.text:
        said.append(f"You said {_quote(question.text)}.")
    said.append(_words(drawn, count))
    return " ".join(said)


def _describe(media: Media) -> str:
    article = "an" if media.kind == "image" else "a"
    return f"I see {article} {media.kind} {'by reference' if media.size is None else f'of {media.size} bytes'}."


def _quote(text: str) -> str:
    return " ".join(text[:200].split()[:8])


def _words(drawn: bytes, count: int) -> str:
    count = min(count, MOST_WORDS)
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += [_WORDS[byte & 63] for byte in drawn[: count - len(chosen)]]
        drawn = drawn if len(chosen) >= count else draw(0, drawn.hex())
    return " ".join(chosen)


def _speaker(drawn: bytes) -> Callable[[], str]:
    """Words, one after the other, for schemas that want some."""
    bytes_left = iter(drawn * 1000)
    return lambda: _WORDS[next(bytes_left, 0) & 63]


def _reason(question: Question, drawn: bytes, limit: int) -> str:
    thought = f"The question is {_quote(question.text or 'open')}. {_words(drawn[::-1], 4 + drawn[1] % 12)}"
    return "".join(split_tokens(thought)[: max(0, limit // 2)])


def _call_tools(question: Question, drawn: bytes) -> tuple[ToolCall, ...]:
    tools = _pick_tools(question)
    names = _CAPITALISED.findall(question.text[:10_000])
    calls = []
    for index, tool in enumerate(tools):
        speaker = _speaker(drawn[index % 32 :])
        left = iter(names)
        arguments = build_instance(tool.schema, lambda left=left, speaker=speaker: next(left, None) or speaker())  # type: ignore[misc]
        token = draw(index, drawn.hex(), tool.name).hex()[:24]
        calls.append(ToolCall(token, tool.name, arguments if isinstance(arguments, dict) else {}))
    return tuple(calls)


def _pick_tools(question: Question) -> list[Tool]:
    """The tools that the prompt names (whole, or by a word of the name), in its order; one at least if it must."""
    if not question.tools or question.choose is Choose.NONE:
        return []
    if question.chosen is not None:
        return [tool for tool in question.tools if tool.name == question.chosen]
    text = question.text[:10_000].lower()
    places = {tool.name: _find_name(tool.name, text) for tool in question.tools}
    named = [tool for tool in question.tools if places[tool.name] >= 0]
    named.sort(key=lambda tool: places[tool.name])
    if not named and question.choose is Choose.ANY:
        named = [question.tools[0]]
    return named if question.parallel else named[:1]


def _find_name(name: str, text: str) -> int:
    place = text.find(name.lower())
    if place >= 0:
        return place
    words = [re.search(rf"\b{part.lower()}\b", text) for part in _NAME_PART.findall(name)]
    return min((found.start() for found in words if found), default=-1)
