"""The breakers of the providers, which all workers share: shown to operators, and held open or closed by them."""
