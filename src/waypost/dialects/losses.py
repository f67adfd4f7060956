"""Parameters that several dialects have no place for. Knows the neutral form, and no dialect's way of asking."""

from collections.abc import Callable

from waypost.conversation.request import Request


def lose_sampling(request: Request, lose: Callable[[str], None]) -> None:
    """Of what OpenAI's and Google's protocols can be asked. A neutral value changes nothing and is no loss."""
    if request.frequency_penalty:
        lose("frequency_penalty")
    if request.presence_penalty:
        lose("presence_penalty")
    if request.logprobs:
        lose("logprobs")
    if request.top_logprobs:
        lose("top_logprobs")
    if request.seed is not None:
        lose("seed")
    if request.choices is not None and request.choices > 1:
        lose("n")


def lose_own(request: Request, lose: Callable[[str], None]) -> None:
    """What a request says to no protocol but its own."""
    if request.store:
        lose("store")
    for name, _ in request.extra:
        lose(name)
