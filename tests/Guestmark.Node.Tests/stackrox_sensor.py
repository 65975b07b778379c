"""The side of a StackRox Sensor that a relay sees, in another implementation of gRPC: stackrox_sensor.py FOLDER FILE PORT EVERY

Answers UpsertVirtualMachineIndexReport with the certificates in FOLDER (as sensor.stackrox.svc), to clients that have one of the same
authority. Every EVERY-th call it answers UNAVAILABLE, RESOURCE_EXHAUSTED or INTERNAL instead; a request whose bytes hold "refuse me" is an
INVALID_ARGUMENT. Appends each request that it takes to FILE: its length (4 bytes, big endian) and its bytes as they came. Prints "ready PORT"
and serves until its input ends.
"""
import os
import struct
import sys
import threading
from concurrent import futures

import grpc

folder, file, port, every = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
lock = threading.Lock()
calls = 0
failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL]


def read(path):
    with open(path, "rb") as content:
        return content.read()


def upsert(request, context):
    global calls
    with lock:
        calls += 1
        if calls % every == 0:
            context.abort(failures[calls // every % len(failures)], "not now")
        if b"refuse me" in request:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        with open(file, "ab") as log:
            log.write(struct.pack(">I", len(request)) + request)
            log.flush()
            os.fsync(log.fileno())
    # success = 1: true
    return b"\x08\x01"


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.max_receive_message_length", 20 << 20), ("grpc.so_reuseport", 0)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("sensor.VirtualMachineIndexReportService", {
    # Without functions that decode and encode, the bytes are as they are on the wire.
    "UpsertVirtualMachineIndexReport": grpc.unary_unary_rpc_method_handler(upsert),
}),))
credentials = grpc.ssl_server_credentials(
    [(read(folder + "/key.pem"), read(folder + "/cert.pem"))], read(folder + "/ca.pem"), require_client_auth=True)
port = server.add_secure_port("127.0.0.1:%d" % port, credentials)
server.start()
print("ready", port, flush=True)
sys.stdin.read()
server.stop(None)
