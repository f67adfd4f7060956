"""Pure decisions about what is allowed and what it costs: prices, allowances, rates, policy. No clock, no dice."""
