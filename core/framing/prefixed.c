#include <assert.h>

#include "framing/decoders.h"

static const char *const too_long = "the length field holds more than any request can have";

/* The byte of the length field that stands for 256 to the power of `place`. */
static uint8_t field_byte(const struct framing *framing, const char *field, size_t place) {
  size_t last = framing->option.prefixed.width - 1;
  return (uint8_t)field[framing->option.prefixed.big_endian ? last - place : place];
}

/* Reads how many bytes follow the length field; false if an int64_t cannot hold the number. */
static bool read_follow(const struct framing *framing, const char *field, int64_t *follow) {
  int64_t adjust = framing->option.prefixed.adjust;
  uint64_t sum = 0;
  for (size_t place = framing->option.prefixed.width; place-- > 0;) {
    if (sum > INT64_MAX >> 8) return false;
    sum = sum << 8 | field_byte(framing, field, place);
  }
  if (adjust > 0 && (int64_t)sum > INT64_MAX - adjust) return false;
  *follow = (int64_t)sum + adjust;
  return true;
}

/* Gives the length of the frame, whose header of `header` bytes has arrived; or answers and returns
 * false. */
static bool measure_frame(const struct framing *framing, const char *bytes, size_t header,
                          size_t *frame, struct framing_answer *answer) {
  const char *field = bytes + framing->option.prefixed.offset;
  size_t top = framing->option.prefixed.width - 1;
  int64_t follow;
  if (framing->option.prefixed.is_signed && field_byte(framing, field, top) >= 0x80)
    answer_malformed(answer, "the length field is negative");
  else if (!read_follow(framing, field, &follow))
    answer_too_large(answer, too_long);
  else if (follow < 0)
    answer_malformed(answer, "the length ends the frame inside its own header");
  else if ((uint64_t)follow > FRAME_MAX - header)
    answer_too_large(answer, too_long);
  else {
    *frame = header + (size_t)follow;
    return true;
  }
  return false;
}

void prefixed_decode(const struct framing *framing, const char *bytes, size_t length,
                     struct framing_progress *progress, struct framing_answer *answer) {
  assert(framing->option.prefixed.offset <= FRAME_MAX - framing->option.prefixed.width);
  size_t header = framing->option.prefixed.offset + framing->option.prefixed.width;
  size_t strip = framing->option.prefixed.strip;
  size_t frame;
  if (length < header)
    answer_partial(answer, progress, header, length);
  else if (!measure_frame(framing, bytes, header, &frame, answer))
    return;
  else if (frame < strip)
    answer_malformed(answer, "the frame is shorter than what is stripped from it");
  else if (frame - strip > framing->max)
    answer_declared(answer, frame - strip);
  else if (length < frame)
    answer_partial(answer, progress, frame, length);
  else
    answer_complete(answer, bytes + strip, frame - strip, frame);
}
