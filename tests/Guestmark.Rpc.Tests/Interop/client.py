"""An independent gRPC client against our server: client.py ADDRESS [FOLDER WITH ca.pem cert.pem key.pem]

Prints "ok" and the name of each check, and fails at the first that does not hold.
"""
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue


def text(value):
    return StringValue(value=value)


def call(channel, kind, name):
    return getattr(channel, kind)(
        "/test.Calls/" + name, request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def open_channel(address, folder):
    if folder is None:
        return grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(read(folder + "/ca.pem"), read(folder + "/key.pem"), read(folder + "/cert.pem"))
    return grpc.secure_channel(address, credentials)


def status_of(function):
    try:
        function()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def unary(channel):
    response, rpc = call(channel, "unary_unary", "Unary").with_call(
        text("hällo"), timeout=10, metadata=(("name", "one"), ("name", "two"), ("data-bin", b"\x00\xff\x01")))
    assert response.value == "hällo", response
    # What we sent comes back as headers and trailers.
    assert [item.value for item in rpc.initial_metadata() if item.key == "name"] == ["one", "two"], rpc.initial_metadata()
    trailers = dict((item.key, item.value) for item in rpc.trailing_metadata())
    assert trailers["data-bin"] == b"\x00\xff\x01", trailers


def large(channel):
    value = "x" * 3000000
    assert call(channel, "unary_unary", "Unary")(text(value), timeout=10).value == value


def server_streaming(channel):
    assert [m.value for m in call(channel, "unary_stream", "Down")(text("100"), timeout=10)] == [str(i) for i in range(100)]


def client_streaming(channel):
    assert call(channel, "stream_unary", "Up")((text(str(i)) for i in range(100)), timeout=10).value == ",".join(str(i) for i in range(100))


def duplex(channel):
    assert [m.value for m in call(channel, "stream_stream", "Both")((text(str(i)) for i in range(100)), timeout=10)] == [str(i) for i in range(100)]


def status(channel):
    error = status_of(lambda: call(channel, "unary_unary", "Fail")(text("Größe 100 %"), timeout=10))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "Größe 100 %", error.details()
    assert ("why", "because") in [(item.key, item.value) for item in error.trailing_metadata()], error.trailing_metadata()


def unimplemented(channel):
    error = status_of(lambda: call(channel, "unary_unary", "Nothing")(text(""), timeout=10))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    assert "/test.Calls/Nothing" in error.details(), error.details()


def deadline(channel):
    error = status_of(lambda: call(channel, "unary_unary", "Wait")(text(""), timeout=0.2))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


def cancel(channel):
    future = call(channel, "unary_unary", "Wait").future(text("cancel"), timeout=10)
    future.cancel()
    assert future.cancelled()


def main():
    address = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    with open_channel(address, folder) as channel:
        for check in (unary, large, server_streaming, client_streaming, duplex, status, unimplemented, deadline, cancel, unary):
            check(channel)
            print("ok", check.__name__, flush=True)


main()
