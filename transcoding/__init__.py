"""REST for gRPC methods by google.api.http: a library that knows descriptors and no service."""
