"""One call's walk: admit, recall, order, attempt, answer, record. Owns the protocols that the floor below satisfies."""
