"""The configuration of a gateway whose providers are simulated: what is served when nothing is configured."""

_DEMO = """\
# Simulated providers: nothing leaves this machine and nothing costs money, whatever the prices say.
providers:
  sim-openai:
    kind: openai
    base_url: http://{address}/v1
    class: local
    models: [sim-small, sim-large, sim-reasoner, sim-echo, sim-small~503]
    prices:
      sim-large: {{input: 2.5, output: 10}}
      "*": {{input: 0.25, output: 2}}
  sim-anthropic:
    kind: anthropic
    base_url: http://{address}
    class: local
    count_tokens: true
    models: [sim-haiku, sim-sonnet]
    prices:
      sim-haiku: {{input: 1, output: 5}}
      "*": {{input: 3, output: 15}}
routes:
  fast:
    strategy: weighted
    targets:
      - {{model: sim-openai/sim-small, weight: 80}}
      - {{model: sim-anthropic/sim-haiku, weight: 20}}
    fallbacks: [sim-openai/sim-large]
  strong:
    targets: [{{model: sim-anthropic/sim-sonnet}}]
    fallbacks: [sim-openai/sim-large]
  # Its first target always fails: what a caller sees of that is x-waypost-attempts: 2.
  shaky:
    targets: [sim-openai/sim-small~503]
    fallbacks: [sim-anthropic/sim-haiku]
tasks:
  code: strong
  qa: fast
  default: fast
budgets:
  - {{name: demo, limit_usd: 5, window: day}}
  # Too little for any call that is tagged budget=tiny: what a 402 looks like.
  - {{name: tiny, limit_usd: 0.001, window: day, match: {{tag: budget=tiny}}}}
"""


def demo_config_yaml(address: str) -> str:
    """A whole waypost.yaml for two simulated providers behind `address` (`HOST:PORT`), without keys."""
    return _DEMO.format(address=address)
