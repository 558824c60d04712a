"""Who may speak to a cluster: certificates, tokens that earn one, where they lie, and what each role may call."""
