/* fuzz_proxy.c: noise for the decoder of the PROXY protocol. An input is the stream. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "framing/proxy.h"

enum { SPANS = 10 };

static void list_spans(const struct proxy_header *header, struct span spans[SPANS]) {
  const struct span all[SPANS] = {
      header->source.path,   header->destination.path, header->alpn,       header->authority,
      header->unique_id,     header->ssl.version,      header->ssl.cipher, header->ssl.common_name,
      header->ssl.signature, header->ssl.key};
  memcpy(spans, all, sizeof all);
}

static bool is_same_end(const struct proxy_end *a, const struct proxy_end *b) {
  return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port;
}

/* Both were decoded from the same bytes, at other places. */
static bool is_same(const struct proxy_header *a, const struct proxy_header *b) {
  struct span ours[SPANS], theirs[SPANS];
  list_spans(a, ours);
  list_spans(b, theirs);
  for (int i = 0; i < SPANS; i++) {
    if (!ours[i].data != !theirs[i].data || ours[i].length != theirs[i].length) return false;
    if (ours[i].data && memcmp(ours[i].data, theirs[i].data, ours[i].length) != 0) return false;
  }
  return a->verdict == b->verdict && a->why == b->why && a->length == b->length &&
         a->family == b->family && is_same_end(&a->source, &b->source) &&
         is_same_end(&a->destination, &b->destination) && a->ssl.is_used == b->ssl.is_used &&
         a->ssl.has_certificate == b->ssl.has_certificate &&
         a->ssl.is_verified == b->ssl.is_verified;
}

/* What a header promises, whatever it is. */
static void check_header(const struct proxy_header *header, const char *bytes, size_t length) {
  struct span spans[SPANS];
  list_spans(header, spans);
  CHECK((header->why != NULL) == (header->verdict == PROXY_MALFORMED));
  CHECK(header->length <= PROXY_HEADER_MAX);
  if (header->verdict == PROXY_COMPLETE) CHECK(header->length > 0 && header->length <= length);
  if (header->verdict == PROXY_PARTIAL) CHECK(header->length > length);
  if (header->verdict != PROXY_COMPLETE) CHECK(header->family == PROXY_NO_ADDRESS);
  if (header->ssl.is_verified) CHECK(header->ssl.has_certificate);
  if (header->ssl.has_certificate) CHECK(header->ssl.is_used);
  for (int i = 0; i < SPANS; i++) {
    if (!spans[i].data) continue;
    CHECK(header->verdict == PROXY_COMPLETE);
    CHECK(spans[i].data >= bytes && spans[i].data + spans[i].length <= bytes + header->length);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct proxy_header whole, part;
  size_t wanted = 0; /* The header is neither complete nor refused with fewer bytes. */
  if (size > 2 * PROXY_HEADER_MAX) return -1;
  proxy_decode((const char *)data, size, &whole);
  check_header(&whole, (const char *)data, size);
  for (size_t length = 0; length <= size; length++) {
    char *copy = malloc(length + 1); /* The sanitizer sees what is read behind the bytes. */
    if (copy == NULL) abort();
    memcpy(copy + 1, data, length);
    proxy_decode(copy + 1, length, &part);
    check_header(&part, copy + 1, length);
    if (part.verdict == PROXY_PARTIAL) {
      CHECK(whole.verdict == PROXY_PARTIAL || length < size);
      if (part.length > wanted) wanted = part.length;
    } else {
      CHECK(length >= wanted);
      CHECK(is_same(&part, &whole));
    }
    if (length < wanted) CHECK(part.verdict == PROXY_PARTIAL);
    free(copy);
    if (part.verdict != PROXY_PARTIAL && length > 256) break;
  }
  return 0;
}
