"""How a provider is shown who calls: one file a scheme, and `choose` that picks one for a credential."""
