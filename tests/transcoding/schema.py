"""The edge's own test schema: compiled from `protos/` when a test first asks, and loaded without generated code."""

import tempfile
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from scripts.gen import PROTOS, google_protos

HERE = Path(__file__).parent / "protos"
# Their descriptors must be in the pool before a file that imports them.
IMPORTS = (
    "clarion.options.v1.options_pb2",
    "google.api.annotations_pb2",
    "google.protobuf.any_pb2",
    "google.protobuf.duration_pb2",
    "google.protobuf.empty_pb2",
    "google.protobuf.field_mask_pb2",
    "google.protobuf.struct_pb2",
    "google.protobuf.timestamp_pb2",
    "google.protobuf.wrappers_pb2",
    "google.rpc.status_pb2",
)


@cache
def load() -> descriptor_pb2.FileDescriptorSet:
    """Compiles the schema and adds it to the default pool; answers it with its comments."""
    for name in IMPORTS:
        import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "schema.binpb"
        paths = [f"-I{folder}" for folder in (HERE, PROTOS, google_protos(), files("grpc_tools") / "_proto")]
        options = ["--include_source_info", f"--descriptor_set_out={target}", "kinds.proto", "library.proto"]
        assert protoc.main(["protoc", *paths, *options]) == 0
        compiled = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    for file in compiled.file:
        plain = descriptor_pb2.FileDescriptorProto()
        plain.CopyFrom(file)
        plain.ClearField("source_code_info")
        descriptor_pool.Default().AddSerializedFile(plain.SerializeToString())
    return compiled


def message_class(name: str) -> type[Message]:
    """The class of a message of the schema."""
    load()
    return GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(f"edgetest.v1.{name}"))


def library() -> ServiceDescriptor:
    """The library service."""
    load()
    return descriptor_pool.Default().FindServiceByName("edgetest.v1.LibraryService")
