"""The configuration that the documentation shows, with the two things that it leaves out: a real digest, and a route
`strong` for the task that leads there.
"""

EXAMPLE = """\
server:   { listen: 127.0.0.1:8080, admin: 127.0.0.1:8081, workers: 1 }
store:    { ledger: sqlite:///var/waypost.db, state: sqlite:///var/state.db }   # or postgresql://, redis://
providers:
  openai:  { kind: openai, api_key: ${OPENAI_API_KEY}, region: us, rate_limit: 1200/min }
  claude:
    kind: anthropic
    profiles:                                   # several logins of one provider
      work:     { api_key: ${CLAUDE_WORK_KEY} }
      personal: { api_key: ${CLAUDE_HOME_KEY} }
  grok:    { kind: xai, api_key: ${XAI_API_KEY} }
  home:    { kind: openai, base_url: http://127.0.0.1:11434/v1, class: local,
             models: [qwen3], prices: { "*": {input: 0, output: 0} } }    # dollars per million tokens
routes:                                         # what a client may put into "model"
  fast:
    strategy: weighted
    targets: [ {model: claude/claude-haiku-4-5, weight: 80}, {model: openai/gpt-5-mini, weight: 20} ]
    fallbacks: [ grok/grok-4-fast, home/qwen3 ]
    timeouts: { connect_s: 5, first_byte_s: 30, stall_s: 60, total_s: 600 }
  strong: { targets: [ claude/claude-sonnet-4-5 ] }
tasks:                                          # task type -> route; an unknown type takes `default` and is logged
  code:    strong
  qa:      fast
  default: fast
budgets:  [ {name: team-a, limit_usd: 50, window: month, match: {team: a}} ]
keys:     [ {name: app, hash: sha256:DIGEST, team: a} ]
policy:   { classes: [local, hosted], regions: [us, eu] }
""".replace("DIGEST", "0123456789abcdef" * 4)

ENVIRON = {
    "OPENAI_API_KEY": "sk-openai-planted",
    "CLAUDE_WORK_KEY": "sk-work-planted",
    "CLAUDE_HOME_KEY": "sk-home-planted",
    "XAI_API_KEY": "xai-planted",
}
