// gRPC C++ as the peer of `bench/run rpc`.
//   peer server            listens on a free port of 127.0.0.1, prints "ready PORT", ends when its input ends
//   peer client PORT WARMUP CALLS INFLIGHT     prints calls per second on one connection
// Both styles of its asynchronous API are here; the measured one is the faster (see bench/run).
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "echo.grpc.pb.h"

using guestmark::bench::Echo;
using guestmark::bench::EchoMessage;

namespace {

class CallbackEcho final : public Echo::CallbackService {
  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, const EchoMessage* request, EchoMessage* response) override {
    response->set_id(request->id());
    response->set_payload(request->payload());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// One call slot of the completion queue server: waits for a request, answers, starts again.
class QueueCall {
 public:
  QueueCall(Echo::AsyncService* service, grpc::ServerCompletionQueue* queue) : service_(service), queue_(queue) { Await(); }

  void Proceed(bool ok) {
    if (answering_) {
      delete this;
      return;
    }
    if (!ok) {
      delete this;
      return;
    }
    new QueueCall(service_, queue_);
    response_.set_id(request_.id());
    response_.set_payload(request_.payload());
    answering_ = true;
    writer_.Finish(response_, grpc::Status::OK, this);
  }

 private:
  void Await() { service_->RequestSay(&context_, &request_, &writer_, queue_, queue_, this); }

  Echo::AsyncService* service_;
  grpc::ServerCompletionQueue* queue_;
  grpc::ServerContext context_;
  EchoMessage request_, response_;
  grpc::ServerAsyncResponseWriter<EchoMessage> writer_{&context_};
  bool answering_ = false;
};

int Serve(bool callback) {
  CallbackEcho callback_service;
  Echo::AsyncService queue_service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  if (callback) {
    builder.RegisterService(&callback_service);
  } else {
    builder.RegisterService(&queue_service);
    queue = builder.AddCompletionQueue();
  }
  auto server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("ready %d\n", port);
  std::fflush(stdout);
  std::thread loop;
  if (!callback) {
    for (int i = 0; i < 100; i++) new QueueCall(&queue_service, queue.get());
    loop = std::thread([&] {
      void* tag;
      bool ok;
      while (queue->Next(&tag, &ok)) static_cast<QueueCall*>(tag)->Proceed(ok);
    });
  }
  while (std::getchar() != EOF) {
  }
  server->Shutdown(std::chrono::system_clock::now());
  if (queue) queue->Shutdown();
  if (loop.joinable()) loop.join();
  return 0;
}

std::string Payload() {
  std::string payload(288, '\0');
  for (size_t i = 0; i < payload.size(); i++) payload[i] = static_cast<char>('a' + i % 26);
  return payload;
}

void Check(const grpc::Status& status, const EchoMessage& request, const EchoMessage& response, const std::string& payload) {
  if (status.ok() && response.id() == request.id() && response.payload() == payload) return;
  std::fprintf(stderr, "wrong response: %d %s\n", status.error_code(), status.error_message().c_str());
  std::exit(2);
}

struct Run {
  std::atomic<long> next{0}, done{0};
  long calls = 0;
  std::mutex mutex;
  std::condition_variable finished;
  std::string payload = Payload();
};

struct CallbackCall {
  std::unique_ptr<grpc::ClientContext> context;
  EchoMessage request, response;
};

void Issue(Echo::Stub* stub, Run* run, std::shared_ptr<CallbackCall> call) {
  const long id = run->next++;
  if (id >= run->calls) return;
  call->context = std::make_unique<grpc::ClientContext>();
  call->request.set_id(id);
  stub->async()->Say(call->context.get(), &call->request, &call->response, [stub, run, call](grpc::Status status) {
    Check(status, call->request, call->response, run->payload);
    if (++run->done == run->calls) {
      std::lock_guard<std::mutex> lock(run->mutex);
      run->finished.notify_one();
      return;
    }
    Issue(stub, run, call);
  });
}

void CallbackRun(Echo::Stub* stub, long calls, int inflight) {
  auto* run = new Run;  // Outlives the last callback, which may still hold the lock's notification.
  run->calls = calls;
  std::unique_lock<std::mutex> lock(run->mutex);
  for (int i = 0; i < inflight; i++) {
    auto call = std::make_shared<CallbackCall>();
    call->request.set_payload(run->payload);
    Issue(stub, run, call);
  }
  run->finished.wait(lock, [&] { return run->done == run->calls; });
}

struct PendingCall {
  std::unique_ptr<grpc::ClientContext> context;
  EchoMessage request, response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoMessage>> reader;
};

void QueueRun(Echo::Stub* stub, long calls, int inflight) {
  grpc::CompletionQueue queue;
  const std::string payload = Payload();
  std::vector<PendingCall> slots(inflight);
  long next = 0, done = 0;
  auto issue = [&](PendingCall* call) {
    if (next == calls) return;
    call->context = std::make_unique<grpc::ClientContext>();
    call->request.set_id(next++);
    call->reader = stub->AsyncSay(call->context.get(), call->request, &queue);
    call->reader->Finish(&call->response, &call->status, call);
  };
  for (auto& call : slots) {
    call.request.set_payload(payload);
    issue(&call);
  }
  void* tag;
  bool ok;
  while (done < calls && queue.Next(&tag, &ok)) {
    auto* call = static_cast<PendingCall*>(tag);
    Check(call->status, call->request, call->response, payload);
    done++;
    issue(call);
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
}

int Client(bool callback, int port, long warmup, long calls, int inflight) {
  auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
  auto stub = Echo::NewStub(channel);
  auto* run = callback ? CallbackRun : QueueRun;
  run(stub.get(), warmup, inflight);
  const auto start = std::chrono::steady_clock::now();
  run(stub.get(), calls, inflight);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("%.0f\n", calls / elapsed.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "server-callback" || verb == "server-queue") return Serve(verb == "server-callback");
  if ((verb == "client-callback" || verb == "client-queue") && argc == 6)
    return Client(verb == "client-callback", std::atoi(argv[2]), std::atol(argv[3]), std::atol(argv[4]), std::atoi(argv[5]));
  std::fprintf(stderr, "usage: peer server-{callback,queue} | client-{callback,queue} PORT WARMUP CALLS INFLIGHT\n");
  return 64;
}
