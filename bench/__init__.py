"""The benchmark: the five processes on real stores, measured beside the floor of each layer."""
