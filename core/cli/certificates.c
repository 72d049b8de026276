#include "cli/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/alpn.h"
#include "base/clock.h"
#include "base/log.h"

enum { DAY = 24 * 3600 /* s */, WARNING_DAYS = 14 };

/* ---- options ------------------------------------------------------------------------------- */

bool certificates_add(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  size_t count = options->tls.pair_count;
  if (*text == '\0') return option_complain(name, text, "a file");
  struct tls_pair *grown = realloc(options->pairs, (count + 1) * sizeof *grown);
  if (!grown) {
    fputs("parlance: not enough memory\n", stderr);
    return false;
  }
  grown[count] = (struct tls_pair){.certificate = text, .key = text};
  options->tls.pairs = options->pairs = grown;
  options->tls.pair_count = count + 1;
  return true;
}

/* The file of a certificate may have its key, too. */
bool certificates_set_key(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  size_t count = options->tls.pair_count;
  struct tls_pair *last = count > 0 ? &options->pairs[count - 1] : NULL;
  if (last && last->key == last->certificate) {
    last->key = text;
    return *text != '\0' || option_complain(name, text, "a file");
  }
  fprintf(stderr, "parlance: --%s %s: it must stand behind the --certificate that it is for\n",
          name, text);
  return false;
}

bool certificates_set_client_ca(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  options->tls.client_ca = text;
  options->needs_pair = name;
  return *text != '\0' || option_complain(name, text, "a file");
}

bool certificates_set_client_verify(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  options->tls.client_may_omit = strcmp(text, "optional") == 0;
  options->needs_pair = options->needs_client_ca = name;
  return strcmp(text, "optional") == 0 || strcmp(text, "required") == 0 ||
         option_complain(name, text, "optional or required");
}

bool certificates_set_alpn(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  options->tls.alpn = text;
  options->needs_pair = name;
  return alpn_is_valid(text) || option_complain(name, text, "a list, such as h2,http/1.1");
}

bool certificates_set_tls_min(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  options->tls.needs_tls_1_3 = strcmp(text, "1.3") == 0;
  options->needs_pair = name;
  return strcmp(text, "1.2") == 0 || strcmp(text, "1.3") == 0 ||
         option_complain(name, text, "1.2 or 1.3");
}

void certificate_options_deinit(struct certificate_options *options) { free(options->pairs); }

/* ---- files --------------------------------------------------------------------------------- */

void certificates_each_file(const struct certificates *certificates,
                            void (*visit)(void *visitor, const char *path), void *visitor) {
  const struct tls_options *tls = &certificates->options->tls;
  if (tls->pair_count == 0) return;
  for (size_t i = 0; i < tls->pair_count; i++) {
    visit(visitor, tls->pairs[i].certificate);
    if (tls->pairs[i].key != tls->pairs[i].certificate) visit(visitor, tls->pairs[i].key);
  }
  if (tls->client_ca) visit(visitor, tls->client_ca);
}

static void count_file(void *visitor, const char *path) {
  (void)path;
  ++*(size_t *)visitor;
}

size_t certificates_count_files(const struct certificates *certificates) {
  size_t count = 0;
  certificates_each_file(certificates, count_file, &count);
  return count;
}

static void mix(uint64_t *sum, uint64_t value) {
  *sum = (*sum ^ value) * 0x9e3779b97f4a7c15U;
  *sum ^= *sum >> 32;
}

/* A file that is missing looks like one of size 0. */
static void look_at(void *visitor, const char *path) {
  struct stat file = {0};
  if (stat(path, &file) != 0) file = (struct stat){0};
  mix(visitor, file.st_dev);
  mix(visitor, file.st_ino);
  mix(visitor, (uint64_t)file.st_size);
  mix(visitor, (uint64_t)file.st_mtim.tv_sec);
  mix(visitor, (uint64_t)file.st_mtim.tv_nsec);
  mix(visitor, (uint64_t)file.st_ctim.tv_sec);
  mix(visitor, (uint64_t)file.st_ctim.tv_nsec);
}

static uint64_t look(const struct certificates *certificates) {
  uint64_t sum = 1;
  certificates_each_file(certificates, look_at, &sum);
  return sum;
}

/* ---- dates --------------------------------------------------------------------------------- */

static void log_end_of_certificate(const struct certificates *certificates) {
  const char *file;
  struct log_line line;
  int64_t left = tls_context_ends(certificates->tls, &file) - (int64_t)time(NULL);
  if (left > WARNING_DAYS * DAY || !log_begin(&line, LOG_WARN, "certificate_ends")) return;
  log_text(&line, "service", certificates->service);
  log_text(&line, "file", file);
  log_integer(&line, "days", left > 0 ? left / DAY : 0);
  log_text(&line, "detail", left > 0 ? "it must be renewed" : "it has expired");
  log_end(&line);
}

static void expire(struct timer *timer) {
  certificates_watch_dates(
      (struct certificates *)((char *)timer - offsetof(struct certificates, timer)));
}

void certificates_watch_dates(struct certificates *certificates) {
  if (!certificates->tls) return;
  log_end_of_certificate(certificates);
  certificates->timer.expire = expire;
  (void)timer_set(&certificates->world->timers, &certificates->timer,
                  clock_milliseconds() + (int64_t)DAY * 1000);
}

/* ---- the context --------------------------------------------------------------------------- */

static enum status make(const struct certificates *certificates, struct tls_context **made,
                        char why[TLS_WHY_MAX]) {
  struct tls_options tls = certificates->options->tls;
  tls.service = certificates->service;
  return tls_context_create(&tls, made, why);
}

/* An option that would do nothing is a mistake: somebody may believe that clients are verified. */
static bool are_whole(const struct certificate_options *options, const char *script,
                      bool needs_one) {
  if (options->needs_client_ca && !options->tls.client_ca)
    fprintf(stderr, "parlance: %s: --%s needs --client-ca FILE\n", script,
            options->needs_client_ca);
  else if (options->tls.pair_count > 0)
    return true;
  else if (options->needs_pair)
    fprintf(stderr, "parlance: %s: --%s needs --certificate FILE\n", script, options->needs_pair);
  else if (needs_one)
    fprintf(stderr, "parlance: %s: an address with tls: needs --certificate FILE\n", script);
  else
    return true;
  return false;
}

bool certificates_load(struct certificates *certificates, const struct certificate_options *options,
                       const char *script, const char *service, bool needs_one,
                       struct world *world) {
  char why[TLS_WHY_MAX];
  *certificates = (struct certificates){.options = options, .service = service, .world = world};
  if (!are_whole(options, script, needs_one)) return false;
  if (options->tls.pair_count == 0) return true;
  certificates->seen = look(certificates);
  if (make(certificates, &certificates->tls, why) == STATUS_OK) return true;
  fprintf(stderr, "parlance: %s: %s\n", script, why);
  return false;
}

/* The files are looked at before they are read, so that no change is missed. */
bool certificates_refresh(struct certificates *certificates, bool is_forced) {
  char why[TLS_WHY_MAX];
  struct tls_context *made;
  if (!certificates->tls) return false;
  uint64_t seen = look(certificates);
  if (seen == certificates->seen && !is_forced) return false;
  certificates->seen = seen;
  if (make(certificates, &made, why) != STATUS_OK) {
    struct log_line line;
    if (log_begin(&line, LOG_ERROR, "certificates_refused")) {
      log_text(&line, "service", certificates->service);
      log_text(&line, "detail", why);
      log_end(&line);
    }
    return false;
  }
  tls_context_release(certificates->tls);
  certificates->tls = made;
  log_event(LOG_INFO, "certificates_reloaded", "service", certificates->service);
  log_end_of_certificate(certificates);
  return true;
}

void certificates_deinit(struct certificates *certificates) {
  if (certificates->world) timer_cancel(&certificates->world->timers, &certificates->timer);
  tls_context_release(certificates->tls);
}
