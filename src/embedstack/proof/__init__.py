"""Is this the model that it says it is? Probes, fidelity to float64 truth, and a name for what is wrong."""
