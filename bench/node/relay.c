/* The other side of `bench/run node`, and the relay that it is compared with.
 *
 *   relay relay IN OUT                 accepts one connection on IN and copies it to OUT: read and write of 64 KiB
 *   relay drive IN OUT FRAMES KIND     sends FRAMES frames of 512 bytes to IN, 128 a write, takes what comes out at OUT and prints frames per second
 *
 * KIND says what comes out and is checked:
 *   bytes          the frames as they were sent: their number, and the sum of their sequence numbers
 *   declarations   u32 LE length + CloudEvent with a DeclarationBatch: the same of its declarations, and that each event has the host's stamp
 *   reports        u32 LE length + CloudEvent with a VMReport of 508 bytes: the same, and the stamp. What is sent are push frames, and the answers
 *                  are read and must be 0
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 512, BATCH = 128, CHUNK = 64 * 1024, BODY = FRAME - 4, EVENT_MAX = 1 << 20 };

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void wrong(const char *what) {
  fprintf(stderr, "relay: %s\n", what);
  exit(1);
}

static struct sockaddr_un address(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) wrong("path too long");
  strcpy(a.sun_path, path);
  return a;
}

static int listen_on(const char *path) {
  struct sockaddr_un a = address(path);
  unlink(path);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 8)) die(path);
  return s;
}

/* Tries for ten seconds: what listens there may just be starting. */
static int connect_to(const char *path) {
  struct sockaddr_un a = address(path);
  for (int i = 0; i < 1000; i++) {
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!connect(s, (struct sockaddr *)&a, sizeof a)) return s;
    close(s);
    struct timespec pause = {0, 10 * 1000 * 1000};
    nanosleep(&pause, NULL);
  }
  die(path);
  return -1;
}

static void write_all(int fd, const unsigned char *p, size_t n) {
  while (n > 0) {
    ssize_t k = write(fd, p, n);
    if (k < 0) die("write");
    p += k;
    n -= (size_t)k;
  }
}

static void put32(unsigned char *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (8 * i));
}

static uint32_t get32(const unsigned char *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

static unsigned char *text(unsigned char *p, const char *s) {
  size_t n = strlen(s);
  if (n >= 24) *p++ = 0x78, *p++ = (unsigned char)n;
  else *p++ = 0x60 | (unsigned char)n;
  memcpy(p, s, n);
  return p + n;
}

static unsigned char *big32(unsigned char *p, unsigned char head, uint32_t v) {
  *p++ = head;
  for (int i = 3; i >= 0; i--) *p++ = (unsigned char)(v >> (8 * i));
  return p;
}

/* A declaration (docs/reference/declarations.md) filled up to 512 bytes by a key that the host does not know and drops.
 * The number goes to *number, 4 bytes big endian; it is from 2^16 on, so that this is its shortest form. */
static void make_declaration(unsigned char *frame, int *number) {
  unsigned char *p = frame + 4;
  *p++ = 0xa8;
  p = text(p, "content_version"), *p++ = 1;
  p = text(text(p, "probe_source"), "process.spawned");
  p = big32(text(p, "guest_pid"), 0x1a, 4100000);
  p = text(text(p, "guest_comm"), "benchmark");
  p = big32(text(p, "guest_monotonic_ns"), 0x1a, 4000000000u);
  p = text(p, "sequence");
  *number = (int)(p - frame) + 1;
  p = big32(p, 0x1a, 0);
  p = text(p, "dropped"), *p++ = 0;
  p = text(p, "padding");
  int left = (int)(frame + FRAME - p) - 3;
  *p++ = 0x79, *p++ = (unsigned char)(left >> 8), *p++ = (unsigned char)left;
  memset(p, 'p', (size_t)left);
  put32(frame, BODY);
}

/* A VMReport: index_report#1 { index_v4#2 { state#2: text } }; the number is 8 digits at the text's beginning. */
static void make_report(unsigned char *frame, int *number) {
  unsigned char *p = frame + 4;
  int left = BODY;
  for (int i = 0; i < 3; i++) {
    left -= 3;
    *p++ = i == 0 ? 1 << 3 | 2 : 2 << 3 | 2;
    *p++ = (unsigned char)((left & 0x7f) | 0x80), *p++ = (unsigned char)(left >> 7);
  }
  *number = (int)(p - frame);
  memset(p, 's', (size_t)left);
  put32(frame, BODY);
}

static void set_number(unsigned char *frame, int at, int reports, uint32_t n) {
  if (!reports) {
    for (int i = 0; i < 4; i++) frame[at + i] = (unsigned char)(n >> (8 * (3 - i)));
    return;
  }
  for (int i = 7; i >= 0; i--, n /= 10) frame[at + i] = (unsigned char)('0' + n % 10);
}

static uint64_t varint(const unsigned char **p, const unsigned char *end) {
  uint64_t v = 0;
  for (int shift = 0; *p < end && shift < 64; shift += 7) {
    unsigned char b = *(*p)++;
    v |= (uint64_t)(b & 0x7f) << shift;
    if (b < 0x80) return v;
  }
  wrong("a number is cut");
  return 0;
}

/* The next field of a message: its number, and its bytes or its value. */
static int field(const unsigned char **p, const unsigned char *end, const unsigned char **bytes, uint64_t *value) {
  uint64_t tag = varint(p, end);
  *bytes = NULL;
  *value = varint(p, end);
  if ((tag & 7) == 2) {
    if (*value > (uint64_t)(end - *p)) wrong("a field is cut");
    *bytes = *p;
    *p += *value;
  } else if ((tag & 7) != 0) {
    wrong("a field of a kind that events do not have");
  }
  return (int)(tag >> 3);
}

struct tally {
  uint64_t frames, sum, events, last;
};

static void take_event(const unsigned char *p, const unsigned char *end, int reports, struct tally *t) {
  const unsigned char *bytes, *data = NULL, *data_end = NULL;
  uint64_t value;
  int stamps = 0;
  while (p < end) {
    int number = field(&p, end, &bytes, &value);
    if (number == 5) { /* attributes: { key#1, value#2 } */
      const unsigned char *q = bytes, *key;
      uint64_t length;
      if (field(&q, bytes + value, &key, &length) != 1) wrong("an attribute without a name");
      stamps += (length == 7 && !memcmp(key, "subject", 7)) || (length == 8 && !memcmp(key, "sequence", 8)) || (length == 4 && !memcmp(key, "time", 4));
    }
    if (number == 8) { /* proto_data: Any { type_url#1, value#2 } */
      const unsigned char *q = bytes;
      while (q < bytes + value) {
        const unsigned char *inner;
        uint64_t length;
        if (field(&q, bytes + value, &inner, &length) == 2) data = inner, data_end = inner + length;
      }
    }
  }
  if (stamps != 3 || data == NULL) wrong("an event without the host's stamp or without data");
  t->events++;
  if (reports) {
    if (data_end - data != BODY) wrong("a report of another length");
    for (int i = 0, n = 0; i < 8; i++) {
      n = n * 10 + (data[9 + i] - '0');
      if (i == 7) t->sum += (uint64_t)n;
    }
    t->frames++;
    return;
  }
  while (data < data_end) { /* DeclarationBatch { repeated Declaration#1 { ... guest_sequence#6 } } */
    const unsigned char *declaration, *inner;
    uint64_t length;
    if (field(&data, data_end, &declaration, &length) != 1) wrong("no declaration");
    const unsigned char *q = declaration;
    while (q < declaration + length)
      if (field(&q, declaration + length, &inner, &value) == 6) t->sum += value;
    t->frames++;
  }
}

/* Takes everything until all frames are there. */
static void receive(int fd, const char *kind, uint64_t frames, uint64_t sum) {
  static unsigned char buffer[EVENT_MAX + CHUNK * 4];
  struct tally t = {0};
  size_t have = 0;
  int plain = !strcmp(kind, "bytes"), reports = !strcmp(kind, "reports");
  unsigned char model[FRAME];
  int at;
  make_declaration(model, &at);
  while (t.frames < frames) {
    ssize_t n = read(fd, buffer + have, sizeof buffer - have);
    if (n < 0) die("read");
    if (n == 0) wrong("the relay ended early");
    have += (size_t)n;
    size_t used = 0;
    while (have - used >= 4) {
      const unsigned char *p = buffer + used;
      size_t length = get32(p);
      if (length > EVENT_MAX) wrong("an event of too many bytes");
      if (have - used - 4 < length) break;
      if (plain) {
        if (length != BODY) wrong("a frame of another length");
        t.sum += (uint64_t)p[at] << 24 | (uint64_t)p[at + 1] << 16 | (uint64_t)p[at + 2] << 8 | p[at + 3];
        t.frames++;
      } else {
        take_event(p + 4, p + 4 + length, reports, &t);
      }
      used += 4 + length;
    }
    memmove(buffer, buffer + used, have - used);
    have -= used;
  }
  if (t.frames != frames || t.sum != sum) wrong("other frames came out than went in");
  if (!plain) fprintf(stderr, "  %llu frames in %llu events\n", (unsigned long long)t.frames, (unsigned long long)t.events);
  exit(0);
}

static void drive(const char *in, const char *out, uint64_t frames, const char *kind) {
  static unsigned char batch[FRAME * BATCH];
  int reports = !strcmp(kind, "reports"), at = 0;
  const uint32_t first = 1 << 16;
  frames -= frames % BATCH;
  for (int i = 0; i < BATCH; i++) (reports ? make_report : make_declaration)(batch + i * FRAME, &at);
  uint64_t sum = 0;
  for (uint64_t i = 0; i < frames; i++) sum += first + i;
  int listener = listen_on(out);
  printf("ready 0\n");
  fflush(stdout);
  int source = connect_to(in);
  int sink = accept(listener, NULL, NULL);
  if (sink < 0) die("accept");
  pid_t receiver = fork();
  if (receiver == 0) receive(sink, kind, frames, sum);
  close(sink);
  pid_t answers = 0;
  if (reports && (answers = fork()) == 0) {
    unsigned char buffer[CHUNK];
    for (uint64_t left = frames * 4; left > 0;) {
      ssize_t n = read(source, buffer, left < sizeof buffer ? left : sizeof buffer);
      if (n <= 0) wrong("an answer is missing");
      for (ssize_t i = 0; i < n; i++)
        if (buffer[i]) wrong("a report was refused");
      left -= (uint64_t)n;
    }
    exit(0);
  }
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (uint64_t i = 0; i < frames; i += BATCH) {
    for (int j = 0; j < BATCH; j++) set_number(batch + j * FRAME, at, reports, first + (uint32_t)(i + (uint64_t)j));
    write_all(source, batch, sizeof batch);
  }
  int status;
  if (waitpid(receiver, &status, 0) < 0 || status) wrong("the receiver failed");
  clock_gettime(CLOCK_MONOTONIC, &b);
  if (answers && (waitpid(answers, &status, 0) < 0 || status)) wrong("the reader of answers failed");
  printf("%.0f\n", (double)frames / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9));
}

static void relay(const char *in, const char *out) {
  static unsigned char buffer[CHUNK];
  int listener = listen_on(in);
  int source = accept(listener, NULL, NULL);
  int sink = connect_to(out);
  for (ssize_t n; (n = read(source, buffer, sizeof buffer)) > 0;) write_all(sink, buffer, (size_t)n);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 4 && !strcmp(argv[1], "relay")) relay(argv[2], argv[3]);
  else if (argc == 6 && !strcmp(argv[1], "drive")) drive(argv[2], argv[3], strtoull(argv[4], NULL, 10), argv[5]);
  else wrong("usage: relay relay IN OUT | relay drive IN OUT FRAMES bytes|declarations|reports");
  return 0;
}
