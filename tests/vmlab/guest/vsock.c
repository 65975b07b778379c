// The other end of AF_VSOCK in a guest: what an agent never does, but whoever owns the guest may.
//
//   vsock cid                                        the CID of this machine
//   vsock push [-s SOURCE] [-u USER] PORT <body      one message of the push protocol: u32 LE length, body; prints the u32 LE status
//   vsock write [-s SOURCE] [-u USER] PORT <bytes    these bytes; prints every status that is answered until the host closes
//   vsock raw [-s SOURCE] [-u USER] PORT <body       these bytes, then the end of the stream (StackRox's push); prints "closed"
//   vsock hold [-s SOURCE] [-u USER] PORT <bytes     these bytes, then silence for ever
//   vsock activate PORT COMMAND...                   COMMAND with a socket that listens on PORT, as systemd's socket activation starts it
//
// To CID 2, from port SOURCE, as user USER (a number). Exit code 0 when it went as said, 1 when the connection was refused or broke, 2 for wrong use.
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
  return 1;
}

static int write_all(int s, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = send(s, bytes, length, MSG_NOSIGNAL);
    if (n < 0) return -1;
    bytes += n;
    length -= n;
  }
  return 0;
}

static int read_statuses(int s, int most) {
  uint8_t answer[4];
  for (int i = 0; i < most; i++) {
    size_t at = 0;
    while (at < sizeof answer) {
      ssize_t n = recv(s, answer + at, sizeof answer - at, 0);
      if (n < 0) return fail("receive");
      if (n == 0) {
        printf("closed\n");
        return most == 1;
      }
      at += n;
    }
    // As on every machine that runs this: little endian.
    uint32_t status;
    memcpy(&status, answer, sizeof status);
    printf("status %u\n", status);
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "cid")) {
    unsigned int cid = 0;
    int device = open("/dev/vsock", O_RDONLY);
    if (device < 0 || ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0) return fail("/dev/vsock");
    printf("%u\n", cid);
    return 0;
  }

  if (argc > 3 && !strcmp(argv[1], "activate")) {
    // sd_listen_fds(3): descriptors from 3 on, and the process that they are for.
    char pid[16];
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
    struct sockaddr_vm own = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = strtoul(argv[2], NULL, 10)};
    if (listener < 0 || bind(listener, (struct sockaddr *)&own, sizeof own) < 0 || listen(listener, 128) < 0 || dup2(listener, 3) < 0) return fail(argv[2]);
    if (listener != 3) close(listener);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    execvp(argv[3], argv + 3);
    return fail(argv[3]);
  }

  unsigned long source = 0;
  int at = 2;
  for (; at + 2 < argc && argv[at][0] == '-'; at += 2) {
    unsigned long value = strtoul(argv[at + 1], NULL, 10);
    if (!strcmp(argv[at], "-s")) source = value;
    else if (strcmp(argv[at], "-u") || setuid(value) < 0) return fail(argv[at]);
  }
  if (argc != at + 1) return 2;
  const char *verb = argv[1];

  size_t length = 0, room = 1 << 20;
  char *body = malloc(room);
  for (ssize_t n; (n = read(0, body + length, room - length)) > 0;) {
    length += n;
    if (length == room) body = realloc(body, room *= 2);
  }

  int s = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (s < 0) return fail("socket");
  if (source > 0) {
    struct sockaddr_vm own = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = source};
    if (bind(s, (struct sockaddr *)&own, sizeof own) < 0) return fail("bind");
  }
  struct sockaddr_vm host = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = strtoul(argv[at], NULL, 10)};
  if (connect(s, (struct sockaddr *)&host, sizeof host) < 0) return fail("connect");

  if (!strcmp(verb, "push")) {
    uint32_t header = length;
    if (write_all(s, (char *)&header, sizeof header) < 0 || write_all(s, body, length) < 0) printf("send: %s\n", strerror(errno));
    return read_statuses(s, 1);
  }
  // What breaks while it is written may have been answered before: the answers are read in any case.
  if (write_all(s, body, length) < 0) printf("send: %s\n", strerror(errno));
  if (!strcmp(verb, "write")) return read_statuses(s, 1 << 30);
  if (!strcmp(verb, "raw")) {
    shutdown(s, SHUT_WR);
    return read_statuses(s, 1 << 30);
  }
  if (!strcmp(verb, "hold")) {
    printf("holding\n");
    fflush(stdout);
    pause();
  }
  return 2;
}
