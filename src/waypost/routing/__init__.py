"""Pure decisions about where a call goes: tables, candidates, breakers, strategies. Time and chance are arguments."""
