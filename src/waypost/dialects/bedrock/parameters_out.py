"""A neutral request's parameters → those of a Converse request, and the fields that are the model's own.

Effort becomes what the model has for it: adaptive thinking, or for older Claudes a budget that is a share of the output
limit (low a fifth, medium half, high four fifths), where the rules of thinking allow one: no forced tool, no tool loop
begun without it; Nova's `maxReasoningEffort`; `reasoning_effort`.
"""

import msgspec
from msgspec import Raw

from waypost.conversation.request import OutputFormat, Reasoning, Request, ToolChoiceMode
from waypost.dialects.bedrock.blocks_out import Lose
from waypost.dialects.bedrock.models import Abilities, Family
from waypost.dialects.bedrock.tools_out import write_one_call
from waypost.dialects.bedrock.words import NAME
from waypost.dialects.claude import EFFORTS, in_unthought_tool_loop, thinking_budget
from waypost.dialects.dialect import Shape
from waypost.dialects.losses import lose_own, lose_sampling

Members = dict[str, object]

_FIELDS = "additionalModelRequestFields"
_THREE_EFFORTS = {**EFFORTS, "xhigh": "high", "max": "high"}
_TIERS = frozenset(("default", "priority", "flex", "reserved"))
_SAME_TIER = {"standard_only": "default"}
_NAMED_FAMILIES = (Family.CLAUDE, Family.MISTRAL)  # those whose field is called `top_k`


def write_parameters(request: Request, shape: Shape, able: Abilities, lose: Lose) -> Members:
    home = request.dialect == NAME
    extra: dict[str, Raw] = dict(request.extra) if home else {}
    fields = dict(_members_of(extra.pop(_FIELDS, None)))
    output: Members = {}
    thinks = False
    if request.reasoning is not None:
        before = len(fields)
        effort = (_home_reasoning if home else _foreign_reasoning)(request, shape, able, fields, lose)
        thinks = len(fields) > before and request.reasoning.enabled is not False
        if effort is not None:
            output["effort"] = effort
    fields.update(write_one_call(request, able, lose))
    inference = _inference(request, shape, able, thinks, lose)
    _write_top_k(request, able, thinks, fields, lose)
    if request.output is not None:
        _write_format(request.output, output, lose)
    members: Members = {"inferenceConfig": inference} if inference else {}
    if fields:
        members[_FIELDS] = fields
    if output:
        members["outputConfig"] = output
    _write_tier(request, members, home, lose)
    if not home:
        _lose_the_rest(request, lose)
    members.update(extra)
    return members


def _members_of(raw: Raw | None) -> Members:
    return {} if raw is None else dict(msgspec.json.decode(raw, type=dict[str, Raw]))


def frame(request: Request, shape: Shape) -> Members:
    """What nearly every request says of its inference, whatever the model."""
    limit = shape.limited(request.max_tokens)
    return {} if limit is None else {"maxTokens": limit}


def _inference(request: Request, shape: Shape, able: Abilities, thinks: bool, lose: Lose) -> Members:
    inference = frame(request, shape)
    if request.dialect == NAME:
        given = {"temperature": request.temperature, "topP": request.top_p, "stopSequences": list(request.stop) or None}
        inference.update({name: value for name, value in given.items() if value is not None})
        return inference
    inference.update(sampling(request, able, thinks and able.family is Family.CLAUDE, lose))
    if request.stop:
        stops = [stop for stop in request.stop if stop.strip()]
        if len(stops) < len(request.stop):
            lose("stop")  # a stop sequence of white space alone is refused
        if stops:
            inference["stopSequences"] = stops
    return inference


def sampling(request: Request, able: Abilities, thinking: bool, lose: Lose) -> Members:
    """The samplers, as far as the model takes them; 1 is every model's default and changes nothing by absence."""
    members: Members = {}
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None:
        if not able.sampling or thinking:
            if temperature != 1:
                lose("temperature")
        else:
            if temperature > 1:
                lose("temperature")
            members["temperature"] = min(temperature, 1.0)
    if top_p is not None and top_p != 1:
        if not able.sampling or thinking or (temperature is not None and not able.both_samplers):
            lose("top_p")
        else:
            members["topP"] = top_p
    return members


def _write_top_k(request: Request, able: Abilities, thinks: bool, fields: Members, lose: Lose) -> None:
    top_k = request.top_k
    if top_k is None:
        return
    home = request.dialect == NAME
    if able.family is Family.NOVA:
        inference = fields.get("inferenceConfig")
        kept = _members_of(inference) if isinstance(inference, Raw) else {}
        fields["inferenceConfig"] = {**kept, "topK": top_k}
    elif home or (able.family in _NAMED_FAMILIES and able.sampling and not thinks):
        fields["top_k"] = top_k
    else:
        lose("top_k")


def _home_reasoning(request: Request, shape: Shape, able: Abilities, fields: Members, lose: Lose) -> str | None:
    """As it was said. Gives the effort that `outputConfig` says. Of which model it was said shows in what was said."""
    reasoning = request.reasoning or Reasoning()
    if reasoning.enabled is None:
        if able.family is Family.CLAUDE:
            return reasoning.effort
        fields["reasoning_effort"] = reasoning.effort
        return None
    if able.family is Family.NOVA or (reasoning.enabled and _is_novas(reasoning)):
        fields["reasoningConfig"] = _novas(reasoning.enabled, reasoning.effort)
        return None
    kind = "disabled" if not reasoning.enabled else "adaptive" if reasoning.adaptive else "enabled"
    thinking: Members = {"type": kind}
    if reasoning.budget_tokens is not None:
        thinking["budget_tokens"] = reasoning.budget_tokens
    if reasoning.display is not None:
        thinking["display"] = reasoning.display
    fields["thinking"] = thinking
    return reasoning.effort


def _is_novas(reasoning: Reasoning) -> bool:
    """Claude's has a budget or is adaptive."""
    return reasoning.effort is not None and reasoning.budget_tokens is None and reasoning.adaptive is None


def _novas(enabled: bool, effort: str | None) -> Members:
    config: Members = {"type": "enabled" if enabled else "disabled"}
    if effort is not None and enabled:
        config["maxReasoningEffort"] = effort
    return config


def _foreign_reasoning(request: Request, shape: Shape, able: Abilities, fields: Members, lose: Lose) -> str | None:
    """Gives the effort that `outputConfig` says."""
    reasoning = request.reasoning or Reasoning()
    if reasoning.enabled is False or reasoning.effort == "none":
        _forbid(able, fields, lose)
        return None
    efforts = EFFORTS if able.family is Family.CLAUDE else _THREE_EFFORTS
    effort = None if reasoning.effort is None else efforts.get(reasoning.effort)
    if reasoning.effort is not None and effort is None:
        lose("reasoning_effort")
        return None
    match able.family:
        case Family.CLAUDE:
            return _claudes(request, shape, able, effort, fields, lose)
        case Family.NOVA if able.adaptive:
            fields["reasoningConfig"] = _novas(True, effort or _effort_of(reasoning))
        case Family.OPEN_WEIGHTS:
            fields["reasoning_effort"] = effort or _effort_of(reasoning)
        case _:
            lose("reasoning_effort")
    return None


def _forbid(able: Abilities, fields: Members, lose: Lose) -> None:
    """A model that thinks only when told to needs no word for it."""
    if able.family is Family.CLAUDE and able.can_disable:
        if able.adaptive:
            fields["thinking"] = {"type": "disabled"}
    elif able.family not in (Family.NOVA, Family.MISTRAL):
        lose("reasoning_effort")


def _effort_of(reasoning: Reasoning) -> str:
    """A budget, where the model knows none: by the words that others have for as many tokens."""
    budget = reasoning.budget_tokens
    if budget is None:
        return "medium"
    return "low" if budget <= 2048 else "medium" if budget <= 8192 else "high"


def _claudes(
    request: Request, shape: Shape, able: Abilities, effort: str | None, fields: Members, lose: Lose
) -> str | None:
    reasoning = request.reasoning or Reasoning()
    choice = request.tool_choice
    forced = choice is not None and choice.mode in (ToolChoiceMode.ANY, ToolChoiceMode.NAMED)
    if able.adaptive:
        if not forced:
            fields["thinking"] = {"type": "adaptive"}
        return effort
    budget = thinking_budget(reasoning, shape.demanded(request.max_tokens)) if able.budget else None
    if budget is None or forced or in_unthought_tool_loop(request.turns, NAME):
        lose("reasoning_effort")
        return None
    fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return None


def _write_format(output: OutputFormat, members: Members, lose: Lose) -> None:
    """The schema is JSON within a text. There is no form for JSON of any shape."""
    if output.schema is None:
        lose("response_format")
        return
    schema: Members = {"schema": bytes(output.schema).decode("utf-8", "replace")}
    if output.name is not None:
        schema["name"] = output.name
    if output.description is not None:
        schema["description"] = output.description
    members["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _write_tier(request: Request, members: Members, home: bool, lose: Lose) -> None:
    tier = request.service_tier
    if tier is None:
        return
    tier = tier if home else _SAME_TIER.get(tier, tier)
    if home or tier in _TIERS:
        members["serviceTier"] = {"type": tier}
    else:
        lose("service_tier")


def _lose_the_rest(request: Request, lose: Lose) -> None:
    """Parameters that nothing here stands for."""
    lose_sampling(request, lose)
    if request.user is not None:
        lose("user")
    lose_own(request, lose)
