import pytest

from waypost.config.model import Policy, Provider, ProviderClass
from waypost.conversation.options import Constraints
from waypost.governance.policy import Author, Denial, Rule, verdict

OPEN = Policy()
EU = Policy(regions=frozenset({"eu"}))


def provider(region: str | None = "us", kind: ProviderClass = ProviderClass.HOSTED) -> Provider:
    return Provider(
        name="p", kind="k", base_url="http://h", dialect="openai_chat", auth_header="authorization",
        auth_prefix="Bearer ", provider_class=kind, region=region,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "key", "constraints", "region", "expected"),
    [
        (OPEN, OPEN, None, None, None),
        (Policy(classes=frozenset({"local"})), OPEN, None, "us", Denial(Rule.CLASS, Author.OPERATOR)),
        (Policy(classes=frozenset({"hosted"})), OPEN, None, "us", None),
        (Policy(regions=frozenset({"us"})), OPEN, None, "us", None),
        (EU, OPEN, None, "us", Denial(Rule.REGION, Author.OPERATOR)),
        (EU, OPEN, None, None, Denial(Rule.REGION, Author.OPERATOR)),
        (Policy(providers=frozenset({"q"})), OPEN, None, "us", Denial(Rule.PROVIDER, Author.OPERATOR)),
        (Policy(providers=frozenset()), OPEN, None, "us", Denial(Rule.PROVIDER, Author.OPERATOR)),
        (OPEN, EU, None, "us", Denial(Rule.REGION, Author.KEY)),
        (Policy(regions=frozenset({"us"})), Policy(regions=frozenset({"us", "eu"})), None, "us", None),
        (EU, Policy(regions=frozenset({"us"})), None, "us", Denial(Rule.REGION, Author.OPERATOR)),
        (OPEN, OPEN, Constraints(regions=("eu",)), "us", Denial(Rule.REGION, Author.CALLER)),
        (OPEN, OPEN, Constraints(regions=("eu",)), None, Denial(Rule.REGION, Author.CALLER)),
        (OPEN, OPEN, Constraints(classes=("local",)), "us", Denial(Rule.CLASS, Author.CALLER)),
        (OPEN, OPEN, Constraints(classes=("hosted", "local"), regions=("us",)), "us", None),
    ],
)  # fmt: skip
def test_each_policy_only_narrows(
    policy: Policy, key: Policy, constraints: Constraints | None, region: str | None, expected: Denial | None
) -> None:
    assert verdict(policy, key, constraints, provider(region)) == expected
