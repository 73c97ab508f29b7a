"""gRPC calls, in and out: servers, channels, interceptors, identity, deadlines, validation and paging."""
