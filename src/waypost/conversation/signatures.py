"""Signatures of one provider's reasoning, carried through callers that speak another protocol.

A caller sends back what it was given, and only the provider that signed may have it again. So a signature travels under
a mark that names the dialect it is of; without the mark it is of the dialect in which it was found.
"""

MARK = "waypost."


def carried(signature: str | None, origin: str | None, here: str) -> str | None:
    """How a signature of dialect `origin` is said in dialect `here`. None where there is nothing to say."""
    if signature is None or origin is None or origin == here:
        return signature
    return f"{MARK}{origin}.{signature}"


def recovered(text: str | None, here: str) -> tuple[str | None, str | None]:
    """(signature, the dialect it is of), from what `carried` made of it and a caller of dialect `here` sent back."""
    if text is None or not text.startswith(MARK):
        return text, None if text is None else here
    origin, dot, signature = text[len(MARK) :].partition(".")
    return (signature, origin) if dot and origin.isidentifier() else (text, here)
