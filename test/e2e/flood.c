/* Sends forged Mobility Header packets, as an outsider could, for tests of what policing lets through.
 *
 *   cc -O2 -o flood flood.c
 *   flood --rate 100000 --seconds 10 --kind esp-bu --source COA --destination HA --home-address HOA --spi 1000
 *         --sequence random|constant|counting [--start N]
 *
 * A raw socket with headers of its own; needs CAP_NET_RAW and a route to the destination. It ends by itself. Its
 * last line is what it achieved, as JSON: {"sent":…,"failed":…,"seconds":…,"rate":…}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BU, BA, ESP_BU, ESP_BA, KINDS };
enum { RANDOM, CONSTANT, COUNTING };
enum { IPV6_HEADER = 40, EXTENSION = 24, MESSAGE = 16, ESP = 52, BATCH = 64, MOST = 256 };

/* The packets go in bursts: this many nanoseconds apart at most. */
static const int64_t TICK = 1000000;

struct options {
  long rate, seconds;
  int first, last; /* kinds, in turn */
  int sequence;
  uint32_t start, spi;
  struct in6_addr source, destination, home;
};

static uint64_t random_state;
static uint32_t next_random(void) { /* xorshift64* */
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * 0x2545f4914f6cdd1dULL) >> 32);
}

static void fail(const char *what) {
  fprintf(stderr, "flood: %s\n", what);
  exit(2);
}

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/* RFC 6275 6.1.1, 6.1.7, 6.1.8: 16 octets, checksum over the pseudo-header with the home address. */
static void put_message(uint8_t *at, const struct options *o, int update, uint32_t sequence) {
  static const uint8_t bu[MESSAGE] = {59, 1, 5, 0, 0, 0, 0, 0, 0xe0, 0, 0, 150, 1, 2, 0, 0};
  static const uint8_t ba[MESSAGE] = {59, 1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 150, 1, 2, 0, 0};
  memcpy(at, update ? bu : ba, MESSAGE);
  put16(at + (update ? 6 : 8), sequence);
  const uint8_t *ends[2] = {update ? o->home.s6_addr : o->source.s6_addr,
                            update ? o->destination.s6_addr : o->home.s6_addr};
  uint32_t sum = MESSAGE + 135;
  for (int end = 0; end < 2; end++)
    for (int octet = 0; octet < 16; octet += 2) sum += (uint32_t)(ends[end][octet] << 8 | ends[end][octet + 1]);
  for (int octet = 0; octet < MESSAGE; octet += 2) sum += (uint32_t)(at[octet] << 8 | at[octet + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  put16(at + 4, ~sum & 0xffff);
}

/* The whole packet; its length. */
static size_t put_packet(uint8_t *at, const struct options *o, int kind, uint32_t sequence) {
  const int update = kind == BU || kind == ESP_BU, esp = kind == ESP_BU || kind == ESP_BA;
  const size_t payload = EXTENSION + (esp ? ESP : MESSAGE);
  memset(at, 0, IPV6_HEADER + EXTENSION);
  at[0] = 0x60;
  put16(at + 4, (uint32_t)payload);
  at[6] = update ? 60 : 43;
  at[7] = 64;
  memcpy(at + 8, &o->source, 16);
  memcpy(at + 24, &o->destination, 16);

  uint8_t *extension = at + IPV6_HEADER;
  extension[0] = esp ? 50 : 135;
  extension[1] = 2;
  if (update) { /* PadN, Home Address option: RFC 6275 6.3 */
    extension[2] = 1;
    extension[3] = 2;
    extension[6] = 0xc9;
    extension[7] = 16;
  } else { /* type 2, one segment left: RFC 6275 6.4 */
    extension[2] = 2;
    extension[3] = 1;
  }
  memcpy(extension + 8, &o->home, 16);

  uint8_t *message = extension + EXTENSION;
  if (esp) { /* RFC 4303 2: what would be encrypted is anything */
    put32(message, o->spi);
    put32(message + 4, sequence);
    for (int octet = 8; octet < ESP; octet += 4) put32(message + octet, next_random());
  } else {
    put_message(message, o, update, sequence);
  }
  return IPV6_HEADER + payload;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long number(const char *text, long least, long most) {
  char *end;
  errno = 0;
  const long value = strtol(text, &end, 0);
  if (errno || end == text || *end || value < least || value > most) fail("a number is out of range");
  return value;
}

static void address(struct in6_addr *into, const char *text) {
  if (inet_pton(AF_INET6, text, into) != 1) fail("an address is no IPv6 address");
}

static int one_of(const char *text, const char *const *names) {
  for (int index = 0; names[index]; index++)
    if (!strcmp(text, names[index])) return index;
  fail("an option has an unknown word");
  return 0;
}

static struct options parse(int argc, char **argv) {
  static const struct option known[] = {
      {"rate", 1, 0, 'r'},        {"seconds", 1, 0, 't'},      {"kind", 1, 0, 'k'},
      {"source", 1, 0, 's'},      {"destination", 1, 0, 'd'},  {"home-address", 1, 0, 'h'},
      {"spi", 1, 0, 'p'},         {"sequence", 1, 0, 'q'},     {"start", 1, 0, 'n'},
      {0, 0, 0, 0}};
  static const char *const kinds[] = {"bu", "ba", "esp-bu", "esp-ba", "mix", 0};
  static const char *const sequences[] = {"random", "constant", "counting", 0};
  struct options o = {.rate = 100000, .seconds = 10, .spi = 256, .start = 1};
  int given = 0;
  for (int option; (option = getopt_long(argc, argv, "", known, 0)) != -1;) switch (option) {
      case 'r': o.rate = number(optarg, 1, 2000000); break;
      case 't': o.seconds = number(optarg, 1, 600); break;
      case 'k':
        o.first = o.last = one_of(optarg, kinds);
        if (o.first == KINDS) o.first = 0, o.last = KINDS - 1;
        break;
      case 's': address(&o.source, optarg); given |= 1; break;
      case 'd': address(&o.destination, optarg); given |= 2; break;
      case 'h': address(&o.home, optarg); given |= 4; break;
      case 'p': o.spi = (uint32_t)number(optarg, 0, 0xffffffffL); break;
      case 'q': o.sequence = one_of(optarg, sequences); break;
      case 'n': o.start = (uint32_t)number(optarg, 0, 0xffffffffL); break;
      default: exit(2);
    }
  if (given != 7) fail("--source, --destination and --home-address are needed");
  return o;
}

int main(int argc, char **argv) {
  const struct options o = parse(argc, argv);
  const int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd < 0) fail("no raw socket: run as root");
  const int size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = o.destination};

  static uint8_t packets[BATCH][MOST];
  static struct iovec parts[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int index = 0; index < BATCH; index++) {
    parts[index].iov_base = packets[index];
    messages[index].msg_hdr = (struct msghdr){
        .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[index], .msg_iovlen = 1};
  }

  const int64_t start = now(), end = start + o.seconds * 1000000000LL;
  random_state = (uint64_t)start | 1;
  uint32_t sequence = o.start;
  int kind = o.first;
  int64_t made = 0, sent = 0, failed = 0, time;
  while ((time = now()) < end) {
    const int64_t due = (time - start) * o.rate / 1000000000LL - made;
    if (due <= 0) {
      const struct timespec pause = {0, TICK};
      clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, 0);
      continue;
    }
    const int count = due < BATCH ? (int)due : BATCH;
    for (int index = 0; index < count; index++) {
      parts[index].iov_len = put_packet(packets[index], &o, kind, o.sequence == RANDOM ? next_random() : sequence);
      kind = kind == o.last ? o.first : kind + 1;
      if (o.sequence == COUNTING && kind == o.first) sequence++;
    }
    made += count;
    for (int done = 0; done < count;) {
      const int passed = sendmmsg(fd, messages + done, (unsigned)(count - done), 0);
      if (passed > 0) {
        sent += passed;
        done += passed;
      } else {
        failed++;
        done++;
      }
    }
  }
  const double seconds = (double)(now() - start) / 1e9;
  printf("{\"sent\":%lld,\"failed\":%lld,\"seconds\":%.3f,\"rate\":%.0f}\n", (long long)sent, (long long)failed,
         seconds, (double)sent / seconds);
  return 0;
}
