#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/upstreams_internal.h"

/* A simulation reads no files. */
enum status upstream_prepare_tls(struct network *network, const struct network_tls *tls,
                                 uint64_t *version, char why[NETWORK_WHY_MAX]) {
  (void)network, (void)tls;
  *version = 1;
  why[0] = '\0';
  return STATUS_OK;
}

/* The protocol is the first that the script has offered. */
static bool describe(struct upstream *upstream, const struct network_tls *tls) {
  size_t host = strcspn(tls->address, ":");
  const char *name = *tls->server_name ? tls->server_name : tls->address;
  int name_length = *tls->server_name ? (int)strlen(name) : (int)host;
  int alpn_length = (int)strcspn(tls->alpn, ",");
  size_t size = strlen(name) + strlen(tls->alpn) + 64;
  free(upstream->tls_text);
  upstream->tls_text = malloc(size);
  if (!upstream->tls_text) return false;
  int length =
      snprintf(upstream->tls_text, size, "TLSv1.3%cTLS_AES_256_GCM_SHA384%c%.*s%c%.*s%c%c%c%c",
               '\0', '\0', name_length, name, '\0', alpn_length, tls->alpn, '\0', '\0', '\0', '\0');
  upstream->tls_length = (size_t)length;
  return true;
}

enum status upstream_describe_tls(const struct channel *channel, char **text, size_t *length) {
  const struct upstream *upstream = upstream_of_channel((struct channel *)(uintptr_t)channel);
  *text = upstream->tls_text ? malloc(upstream->tls_length) : NULL;
  if (!*text) return STATUS_NO_MEMORY;
  memcpy(*text, upstream->tls_text, upstream->tls_length);
  *length = upstream->tls_length;
  return STATUS_OK;
}

static void end(struct upstream *upstream, enum network_error error, const char *why) {
  upstream->tls = UPSTREAM_HANDSHAKE;
  upstream->tls_error = error;
  snprintf(upstream->tls_why, sizeof upstream->tls_why, "%s", why);
  ready_add(&upstream->world->ready, &upstream->turn);
}

void upstream_start_tls(struct network *network, struct channel *channel,
                        const struct network_tls *tls, struct network_connect *asked) {
  struct upstreams *upstreams = (struct upstreams *)network;
  struct upstream *upstream = upstream_of_channel(channel);
  const struct party *party = upstream->party;
  upstream->asked = asked;
  if (!describe(upstream, tls))
    end(upstream, NETWORK_HANDSHAKE, "TLS: not enough memory");
  else if (++upstreams->handshakes == upstreams->distrusted)
    end(upstream, NETWORK_CERTIFICATE, "the certificate is refused: self-signed certificate");
  else if (!upstream->owner || upstream->is_broken || upstream->is_ended)
    end(upstream, NETWORK_HANDSHAKE, "TLS: the peer has closed the connection");
  else if (!upstream->begins_tls)
    upstream->tls = UPSTREAM_ASKED;
  else if (party && party->error != NETWORK_OK)
    end(upstream, party->error, party->why);
  else
    end(upstream, NETWORK_OK, "");
}

void upstream_finish_tls(struct upstream *upstream) {
  struct network_connect *asked = upstream->asked;
  bool is_well = upstream->tls_error == NETWORK_OK;
  if (upstream->tls != UPSTREAM_HANDSHAKE) return;
  upstream->asked = NULL;
  upstream->tls = is_well ? UPSTREAM_TLS : UPSTREAM_PLAIN;
  asked->on_end(asked, is_well ? &upstream->channel : NULL, upstream->tls_error, upstream->tls_why);
}

void upstream_fail_tls(struct upstream *upstream, const char *why) {
  bool is_under_way = upstream->asked && upstream->tls != UPSTREAM_PLAIN;
  if (is_under_way) end(upstream, NETWORK_HANDSHAKE, why);
}

int upstreams_wants_tls(lua_State *L, struct upstreams *upstreams) {
  const struct upstream *upstream = upstreams_check(L, upstreams);
  lua_pushboolean(L, upstream->asked && upstream->tls == UPSTREAM_ASKED);
  return 1;
}

int upstreams_begin_tls(lua_State *L, struct upstreams *upstreams) {
  static const char *const codes[] = {"none", "certificate", "handshake", NULL};
  static const enum network_error errors[] = {NETWORK_OK, NETWORK_CERTIFICATE, NETWORK_HANDSHAKE};
  struct upstream *upstream = upstreams_check(L, upstreams);
  int code = luaL_checkoption(L, 3, "none", codes);
  const char *why = luaL_optstring(L, 4, "");
  if (upstream->asked && upstream->tls == UPSTREAM_ASKED) end(upstream, errors[code], why);
  return 0;
}
