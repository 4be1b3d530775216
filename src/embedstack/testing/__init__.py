"""For tests, ours and yours: an encoder without a model, and the contract checks that newcomers run."""
