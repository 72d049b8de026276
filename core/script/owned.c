#include "script/owned.h"

#include <stddef.h>

void owned_give(struct owned *owned, struct owned **list) {
  owned->link = list;
  owned->next = *list;
  if (owned->next) owned->next->link = &owned->next;
  *list = owned;
}

void owned_take(struct owned *owned) {
  if (!owned->link) return;
  *owned->link = owned->next;
  if (owned->next) owned->next->link = owned->link;
  owned->link = NULL;
}

void owned_end_all(struct owned **list, bool is_cancelled) {
  while (*list) {
    struct owned *owned = *list;
    owned_take(owned);
    owned->end(owned, is_cancelled);
  }
}
