/* fuzz_framing.c: noise for one framing, which FUZZ_KIND names.
 *
 * The first OPTIONS bytes of an input choose the options and the random cuts (choose_options() says
 * how); the rest is the stream. A file in corpus/KIND/ begins with these eight bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "framing/framing.h"
#include "framing/http.h"
#include "framing/http_body.h"
#include "framing/resp.h"
#include "framing/resp_reply.h"

enum { OPTIONS = 8 };

static int64_t choose_adjust(uint8_t choice) {
  static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX};
  return choice < 4 ? extremes[choice] : (int64_t)choice - 128;
}

/* Byte 0: max, where 255 stands for none. Bytes 1 to 4: as each kind takes them. Bytes 5 to 7:
 * where the random cuts begin. */
static void choose_options(const uint8_t *choice, struct framing *framing) {
  memset(framing, 0, sizeof *framing);
  framing->kind = FUZZ_KIND;
  framing->max = choice[0] == 255 ? SIZE_MAX : choice[0];
  switch (framing->kind) {
  case FRAMING_DELIMITED: /* of two letters only, so that it nearly matches itself */
    framing->option.delimited.length = 1 + choice[1] % FRAMING_DELIMITER_MAX;
    for (size_t i = 0; i < framing->option.delimited.length; i++)
      framing->option.delimited.bytes[i] = "ab"[choice[2 + i / 8 % 3] >> i % 8 & 1];
    break;
  case FRAMING_FIXED: framing->option.fixed.size = 1 + (size_t)choice[1]; break;
  case FRAMING_PREFIXED:
    framing->option.prefixed.offset = choice[1] % 32;
    framing->option.prefixed.width = 1 + choice[2] % 16;
    framing->option.prefixed.big_endian = (choice[2] & 0x10) != 0;
    framing->option.prefixed.is_signed = (choice[2] & 0x20) != 0;
    framing->option.prefixed.adjust = choose_adjust(choice[3]);
    framing->option.prefixed.strip = choice[4];
    break;
  case FRAMING_HTTP:
    framing->option.http.max_head = 16 + (size_t)choice[1] * 16;
    framing->option.http.max_headers = choice[2] % 16;
    framing->option.http.stream_body = (choice[3] & 1) != 0;
    break;
  case FRAMING_HTTP_RESPONSE:
    framing->option.http.max_head = 16 + (size_t)choice[1] * 16;
    framing->option.http.max_headers = choice[2] % 16;
    framing->option.http.answered = (enum http_answered)(choice[3] % 3);
    break;
  case FRAMING_RESP_REPLY:
  case FRAMING_RESP:
    framing->option.resp.max_arguments = choice[1] == 255 ? RESP_ARGUMENTS_MAX : 1 + choice[1];
    break;
  default: break;
  }
}

/* The bytes of the next piece: 1 to 16, the same for the same input. */
static size_t next_cut(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return 1 + (*state >> 28);
}

static bool lies_in(struct span inner, struct span outer) {
  return inner.data >= outer.data && inner.data + inner.length <= outer.data + outer.length;
}

/* Returns the field lines of a sound message, whose first line lies in it. */
static struct span read_first_line(const struct framing *framing,
                                   const struct framing_answer *answer, struct span frame) {
  struct http_request request;
  struct http_response response;
  if (framing->kind == FRAMING_HTTP_RESPONSE) {
    http_read_response(answer, &response);
    CHECK(response.status >= 100 && response.status <= 999);
    CHECK(lies_in(response.reason, frame));
    return response.fields;
  }
  http_read_request(answer, &request);
  CHECK(lies_in(request.method, frame) && request.method.length > 0);
  CHECK(lies_in(request.target, frame) && request.target.length > 0);
  return request.fields;
}

/* What can be read of a sound message lies in it; returns the bytes of its body. */
static size_t read_http(const struct framing *framing, const struct framing_answer *answer) {
  struct span data, rest = answer->payload;
  struct span frame = {answer->payload.data + answer->payload.length - answer->length,
                       answer->length};
  struct span fields = read_first_line(framing, answer, frame);
  struct http_field field;
  size_t count = 0;
  size_t body = 0;
  CHECK(lies_in(fields, frame));
  while (http_next_field(&fields, &field)) {
    count++;
    CHECK(lies_in(field.name, frame) && field.name.length > 0);
    CHECK(lies_in(field.value, frame));
    CHECK(memchr(field.value.data, '\n', field.value.length) == NULL);
    CHECK(memchr(field.value.data, '\r', field.value.length) == NULL);
    CHECK(memchr(field.value.data, '\0', field.value.length) == NULL);
  }
  CHECK(count <= framing->option.http.max_headers);
  if (!answer->http.is_chunked) return rest.length;
  while (http_next_chunk(&rest, &data)) {
    CHECK(lies_in(data, answer->payload) && data.length > 0);
    body += data.length;
  }
  return body;
}

/* Takes a Redis request apart: its arguments lie in it one after the other, are as many as the
 * answer said, and have no more bytes than are allowed. */
static void check_arguments(const struct framing *framing, const struct framing_answer *answer) {
  struct resp_cursor cursor;
  struct resp_argument argument;
  const char *behind = answer->payload.data;
  const char *end = behind + answer->payload.length;
  size_t count = 0;
  size_t total = 0;
  CHECK(answer->payload.length == answer->length);
  for (resp_open(&cursor, answer->payload); resp_next(&cursor, &argument); count++) {
    CHECK(argument.raw.data >= behind && argument.raw.length <= (size_t)(end - argument.raw.data));
    CHECK(argument.length <= argument.raw.length);
    behind = argument.raw.data + argument.raw.length;
    total += argument.length;
    char *text = malloc(argument.length);
    if (text != NULL && argument.length < argument.raw.length) resp_unquote(&argument, text);
    free(text);
  }
  CHECK(count == answer->arguments && count <= framing->option.resp.max_arguments);
  CHECK(total <= framing->max);
}

/* Takes a Redis reply apart: its values lie in it, are as many as the answer said, and have no more
 * bytes than are allowed. */
static void check_values(const struct framing *framing, const struct framing_answer *answer) {
  const char *end = answer->payload.data + answer->payload.length;
  struct resp_reply_cursor cursor = {answer->payload.data, end};
  size_t total = 0;
  int64_t left = 1;
  CHECK(answer->payload.length == answer->length);
  CHECK(answer->arguments <= framing->option.resp.max_arguments);
  for (uint32_t i = 0; i < answer->arguments; i++, left--) {
    struct resp_value value;
    CHECK(left > 0);
    resp_reply_next(&cursor, &value);
    CHECK(value.text.length == 0 || lies_in(value.text, answer->payload));
    total += value.text.length;
    if (value.type == RESP_ARRAY) left += value.number;
  }
  CHECK(left == 0 && cursor.at == end);
  CHECK(total <= framing->max);
}

/* Decodes a copy of just so many bytes, so that the sanitizer sees an over-read. The payload of the
 * answer lies in `bytes` again. A kind whose payload is not what `max` limits has a check of its
 * own. `is_last`: no byte comes behind these. */
static void decode_copy(const struct framing *framing, const char *bytes, size_t length,
                        bool is_last, struct framing_progress *progress,
                        struct framing_answer *answer) {
  char *copy = length > 0 ? malloc(length) : NULL;
  if (copy != NULL) memcpy(copy, bytes, length);
  (is_last ? framing_decode_end : framing_decode)(framing, copy, length, progress, answer);
  if (answer->verdict == FRAMING_COMPLETE || answer->verdict == FRAMING_HEAD) {
    CHECK(answer->length > 0 && answer->length <= length);
    CHECK(answer->payload.data >= copy);
    CHECK(answer->payload.data + answer->payload.length <= copy + answer->length);
    if (framing->kind == FRAMING_RESP)
      check_arguments(framing, answer);
    else if (framing->kind == FRAMING_RESP_REPLY)
      check_values(framing, answer);
    else if (answer->verdict == FRAMING_HEAD)
      CHECK(answer->payload.length == 0 && framing->option.http.stream_body);
    else if (framing->kind == FRAMING_HTTP || framing->kind == FRAMING_HTTP_RESPONSE)
      CHECK(read_http(framing, answer) <= framing->max);
    else
      CHECK(answer->payload.length <= framing->max);
    answer->payload.data = bytes + (answer->payload.data - copy);
  } else if (answer->verdict == FRAMING_PARTIAL) {
    CHECK(answer->length > length && answer->length <= (size_t)PTRDIFF_MAX);
    CHECK(progress->seen <= length);
  } else {
    CHECK(answer->why != NULL);
  }
  free(copy);
}

static void check_same(const struct framing_answer *a, const struct framing_answer *b) {
  CHECK(a->verdict == b->verdict);
  CHECK(a->length == b->length);
  CHECK(a->arguments == b->arguments);
  CHECK(a->payload.data == b->payload.data);
  CHECK(a->payload.length == b->payload.length);
  CHECK(a->declared == b->declared);
  CHECK(a->why == b->why);
  CHECK(a->got == b->got);
  CHECK(a->interim == b->interim);
  CHECK(a->until_end == b->until_end);
  CHECK(a->http.method == b->http.method && a->http.target == b->http.target);
  CHECK(a->http.keeps_alive == b->http.keeps_alive);
  /* The first answer behind a sound head tells these, too, and a later one does not. */
  bool has_frame = a->verdict == FRAMING_COMPLETE || a->verdict == FRAMING_HEAD;
  CHECK(!has_frame || a->http.is_chunked == b->http.is_chunked);
  CHECK(!has_frame || a->http.expects == b->http.expects);
}

/* Feeds the stream in pieces, of one byte or random, and compares with the answer for the whole. */
static void feed_pieces(const struct framing *framing, const char *bytes, size_t length,
                        bool is_random, uint32_t state, const struct framing_answer *whole) {
  struct framing_progress progress = {0};
  struct framing_answer answer;
  size_t asked = 0;
  size_t there = 0;
  for (;;) {
    size_t seen = progress.seen;
    decode_copy(framing, bytes, there, false, &progress, &answer);
    if (answer.verdict != FRAMING_PARTIAL || there == length) break;
    CHECK(progress.seen >= seen);
    if (answer.length > asked) asked = answer.length;
    there += is_random ? next_cut(&state) : 1;
    if (there > length) there = length;
  }
  if (answer.verdict == FRAMING_COMPLETE) CHECK(answer.length >= asked);
  if (answer.verdict != FRAMING_PARTIAL) CHECK(there >= asked); /* a session waits for them */
  check_same(&answer, whole);
  if (answer.verdict != FRAMING_PARTIAL) return;
  decode_copy(framing, bytes, length, true, &progress, &answer);
  CHECK((answer.verdict == FRAMING_COMPLETE) == whole->until_end);
  CHECK(!whole->until_end || answer.length == length);
}

/* ---- bodies that are streamed -------------------------------------------------------------- */

struct taken {
  char *data;
  size_t length;
  size_t used; /* Bytes that were taken away. */
  enum http_body_result result;
  const char *why;
};

/* The next piece of a copy of just so many bytes. Returns where its data lies in `bytes`. */
static const char *next_of_copy(struct http_body *body, const char *bytes, size_t length,
                                size_t most, struct taken *taken, struct http_body_piece *piece) {
  char *copy = length > 0 ? malloc(length) : NULL;
  if (copy != NULL) memcpy(copy, bytes, length);
  taken->result = http_body_next(body, (struct span){copy, length}, most, piece);
  CHECK(piece->length <= length);
  size_t offset = 0;
  if (taken->result == HTTP_BODY_FOUND) {
    CHECK(piece->data.length > 0 && piece->data.length <= most);
    CHECK(lies_in(piece->data, (struct span){copy, piece->length}));
    offset = (size_t)(piece->data.data - copy);
  }
  bool is_refused = taken->result == HTTP_BODY_MALFORMED || taken->result == HTTP_BODY_TOO_LARGE;
  CHECK((piece->why != NULL) == is_refused);
  free(copy);
  return bytes + offset;
}

/* Takes a body apart that comes in pieces: of one byte (step 1), random (0), or whole (SIZE_MAX).
 */
static void take_body(const struct http_body *begun, const char *bytes, size_t length, size_t step,
                      uint32_t state, struct taken *taken) {
  struct http_body body = *begun;
  size_t there = step == SIZE_MAX ? length : 0;
  for (;;) {
    struct http_body_piece piece;
    size_t most = step > 0 ? step : next_cut(&state);
    const char *data =
        next_of_copy(&body, bytes + taken->used, there - taken->used, most, taken, &piece);
    taken->used += piece.length;
    taken->why = piece.why;
    if (taken->result == HTTP_BODY_FOUND) {
      memcpy(taken->data + taken->length, data, piece.data.length);
      taken->length += piece.data.length;
    } else if (taken->result != HTTP_BODY_PARTIAL || there == length) {
      return;
    } else {
      there += step > 0 ? step : next_cut(&state);
      if (there > length) there = length;
    }
  }
}

/* The body is the same however its bytes are cut, and the one that a framing finds that does not
 * stream it, unless that has limits of its own. */
static void check_body(const struct framing *framing, const struct framing_answer *head,
                       const char *bytes, size_t length, uint32_t cuts) {
  struct http_body body;
  struct taken taken[3] = {{.length = 0}};
  http_body_begin(&body, framing, head);
  for (size_t i = 0; i < 3; i++) {
    static const size_t steps[] = {SIZE_MAX, 1, 0};
    taken[i].data = malloc(length + 1);
    CHECK(taken[i].data != NULL);
    take_body(&body, bytes + head->length, length - head->length, steps[i], cuts, &taken[i]);
    CHECK(taken[i].length <= framing->max);
    CHECK(taken[i].result == taken[0].result && taken[i].used == taken[0].used);
    CHECK(taken[i].length == taken[0].length && taken[i].why == taken[0].why);
    CHECK(memcmp(taken[i].data, taken[0].data, taken[0].length) == 0);
  }
  struct framing plain = *framing;
  struct framing_progress progress = {0};
  struct framing_answer whole;
  plain.option.http.stream_body = false;
  framing_decode(&plain, bytes, length, &progress, &whole);
  if (whole.verdict == FRAMING_COMPLETE) {
    CHECK(taken[0].result == HTTP_BODY_OVER && head->length + taken[0].used == whole.length);
    CHECK(read_http(&plain, &whole) == taken[0].length);
  }
  for (size_t i = 0; i < 3; i++) free(taken[i].data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct framing framing;
  struct framing_progress progress = {0};
  struct framing_answer whole;
  if (size < OPTIONS) return 0;
  choose_options(data, &framing);
  uint32_t cuts = (uint32_t)data[5] << 16 | (uint32_t)data[6] << 8 | data[7];
  const char *bytes = (const char *)data + OPTIONS;
  size_t length = size - OPTIONS;
  decode_copy(&framing, bytes, length, false, &progress, &whole);
  feed_pieces(&framing, bytes, length, false, 0, &whole);
  feed_pieces(&framing, bytes, length, true, cuts, &whole);
  if (whole.verdict == FRAMING_HEAD) check_body(&framing, &whole, bytes, length, cuts);
  return 0;
}
