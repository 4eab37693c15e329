"""Python's grpcio, with nothing but reflection to go by: every kind of method, an error, a deadline."""

import os

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(os.environ["ECHO_ADDRESS"])
database = ProtoReflectionDescriptorDatabase(channel)
assert "echo.v1.EchoService" in database.get_services()
service = DescriptorPool(database).FindServiceByName("echo.v1.EchoService")


def call(name):
    """The method's stub and its request class."""
    method = service.methods_by_name[name]
    kinds = {(False, False): channel.unary_unary, (False, True): channel.unary_stream,
             (True, False): channel.stream_unary, (True, True): channel.stream_stream}
    stub = kinds[method.client_streaming, method.server_streaming](
        f"/{service.full_name}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    return stub, GetMessageClass(method.input_type)


echo, Request = call("Echo")
reply, ended = echo.with_call(Request(text="a", number=-5), metadata=[("x-lead", "one"), ("x-lead-bin", b"\x00\xff")])
assert (reply.request.text, reply.request.number, reply.metadata["x-lead"]) == ("a", -5, "one")
assert dict(ended.initial_metadata())["x-lead-bin"] == b"\x00\xff"
assert [value for name, value in ended.trailing_metadata() if name == "x-trail"] == ["one", "two"]

count, CountRequest = call("Count")
assert [message.index for message in count(CountRequest(to=1000))] == list(range(1, 1001))

total, _ = call("Sum")
assert total(Request(number=n) for n in range(100)).sum == 4950

chat, _ = call("Chat")
assert [message.request.text for message in chat(Request(text=t) for t in "abc")] == ["a", "b", "c"]

for request, code in [(Request(fail={"code": 8, "message": "enough"}), grpc.StatusCode.RESOURCE_EXHAUSTED),
                      (Request(delay_ms=5000), grpc.StatusCode.DEADLINE_EXCEEDED)]:
    try:
        echo(request, timeout=0.2)
        raise SystemExit(f"{code} was expected")
    except grpc.RpcError as error:
        assert error.code() == code, error

stream = count(CountRequest(to=1000, pause_ms=1000))
stream.cancel()
print("grpcio: 7 passed")
