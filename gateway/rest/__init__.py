"""The REST edge: a general transcoder from HTTP and JSON to RPCs, driven by descriptors and google.api.http."""
