"""An independent gRPC server for our client: server.py [FOLDER WITH ca.pem cert.pem key.pem]

Prints "ready PORT" and serves until its input ends.
"""
import sys
from concurrent import futures

import grpc
from google.protobuf.wrappers_pb2 import StringValue


def read(path):
    with open(path, "rb") as file:
        return file.read()


def unary(request, context):
    metadata = context.invocation_metadata()
    context.send_initial_metadata([item for item in metadata if item.key == "name"])
    context.set_trailing_metadata([item for item in metadata if item.key == "data-bin"])
    return request


def down(request, context):
    for i in range(int(request.value)):
        yield StringValue(value=str(i))


def up(requests, context):
    return StringValue(value=",".join(request.value for request in requests))


def both(requests, context):
    for request in requests:
        yield request


def fail(request, context):
    context.set_trailing_metadata((("why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.value)


waiting = {}


def wait(request, context):
    # Ends when the client has cancelled: the server sees that.
    done = futures.Future()
    context.add_callback(lambda: done.set_result(None))
    waiting[request.value] = done
    done.result(timeout=10)
    return request


def ended(request, context):
    waiting[request.value].result(timeout=10)
    return StringValue(value="ended")


def handler(kind, function):
    return kind(function, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", {
        "Unary": handler(grpc.unary_unary_rpc_method_handler, unary),
        "Down": handler(grpc.unary_stream_rpc_method_handler, down),
        "Up": handler(grpc.stream_unary_rpc_method_handler, up),
        "Both": handler(grpc.stream_stream_rpc_method_handler, both),
        "Fail": handler(grpc.unary_unary_rpc_method_handler, fail),
        "Wait": handler(grpc.unary_unary_rpc_method_handler, wait),
        "Ended": handler(grpc.unary_unary_rpc_method_handler, ended),
    }),))
    if len(sys.argv) > 1:
        folder = sys.argv[1]
        credentials = grpc.ssl_server_credentials(
            [(read(folder + "/key.pem"), read(folder + "/cert.pem"))], read(folder + "/ca.pem"), require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print("ready", port, flush=True)
    sys.stdin.read()
    server.stop(None)


main()
