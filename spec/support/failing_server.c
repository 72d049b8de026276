/* failing_server.c: parlance, where a script can have allocations fail. os.setlocale "fail N COUNT"
 * has the Nth one from now on fail, and those behind it until COUNT have failed. os.setlocale
 * "seen" ends that, and returns how many there were. (Whatever else a script would load has
 * allocations of its own.) Those of OpenSSL are counted, too. */
#include <locale.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* See spec_memory.c. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_setlocale(int category, const char *locale);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_setlocale(int category, const char *locale);

static struct {
  uint64_t seen;
  uint64_t first;
  uint64_t last;
  bool counts;
} plan;

static bool is_to_fail(void) {
  if (!plan.counts) return false;
  plan.seen++;
  return plan.seen >= plan.first && plan.seen <= plan.last;
}

void *__wrap_malloc(size_t size) { return is_to_fail() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
  return is_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
  return is_to_fail() ? NULL : __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return is_to_fail() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = __wrap_malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

char *__wrap_setlocale(int category, const char *locale) {
  static char answer[24];
  unsigned long first, count;
  if (locale && strcmp(locale, "seen") == 0) {
    plan.counts = false;
    snprintf(answer, sizeof answer, "%lu", (unsigned long)plan.seen);
    return answer;
  }
  if (!locale || sscanf(locale, "fail %lu %lu", &first, &count) != 2)
    return __real_setlocale(category, locale);
  plan.seen = 0;
  plan.first = first;
  plan.last = first + count - 1;
  plan.counts = true;
  return answer;
}

static void *allocate(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return __wrap_malloc(size);
}

static void *reallocate(void *block, size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  if (size > 0) return __wrap_realloc(block, size);
  free(block);
  return NULL;
}

static void release(void *block, const char *file, int line) {
  (void)file;
  (void)line;
  free(block);
}

__attribute__((constructor)) static void count_openssl(void) {
  if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1) abort();
}
