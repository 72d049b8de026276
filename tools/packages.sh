# shellcheck shell=bash
# packages.sh: installs the packages that tools/run and tools/test need, and builds the project. To
# be sourced by them. Sets PARLANCE_ROOT.
#
# A need is checked by its use (a program in the path, a module that Lua finds) and not by the name
# of a package, so that it may be installed in any way. A missing need is printed as the name of
# its Debian package.

say() { printf '%s: %s\n' "$PARLANCE_TOOL" "$1" >&2; }
die() { say "$1"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

PARLANCE_TOOL=tools/$(basename -- "$0")
PARLANCE_ROOT=$(unset CDPATH && cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

missing_to_build() {
  local compiler
  compiler=$(command -v cc || command -v gcc || command -v clang) || echo gcc
  echo '#include <stdio.h>' | "${compiler:-false}" -E -x c - >/dev/null 2>&1 || echo libc6-dev
  has cmake || echo cmake
  has ninja || echo ninja-build
  has pkg-config || echo pkg-config
  pkg-config --exists lua5.4 2>/dev/null || echo liblua5.4-dev
  pkg-config --exists libcares 2>/dev/null || echo libc-ares-dev
  pkg-config --exists "openssl >= 3.0" 2>/dev/null || echo libssl-dev
}

missing_to_test() {
  missing_to_build
  has clang || echo clang
  has clang-format || echo clang-format
  has clang-tidy || echo clang-tidy
  has lua5.4 || echo lua5.4
  has luacheck || echo lua-check
  has curl || echo curl
  has openssl || echo openssl
  has git || echo git
  has pgrep || echo procps
  has systemd-analyze || echo systemd
  missing_client
  lua5.4 "$(command -v busted)" --version >/dev/null 2>&1 || echo lua-busted
  has python3 || echo python3
  missing_lua_module socket lua-socket
  missing_lua_module ssl lua-sec
  missing_lua_module lpeg lua-lpeg
  missing_lua_module cjson lua-cjson
  missing_redis_client
  missing_fuzzer_runtime
}

# The documents use `nc -N`, which not every version of nc has.
missing_client() {
  grep -q -e ' -N' -e '-[A-Za-z]*N' <<<"$(nc -h 2>&1)" || echo netcat-openbsd
}

# Installs nc if that is possible. Without it the server runs, and prints another command to try.
provide_client() {
  (provide missing_client) || say "going on without netcat-openbsd"
}

missing_lua_module() { # MODULE PACKAGE
  lua5.4 -e "local find = package.searchpath
    os.exit((find('$1', package.path) or find('$1', package.cpath)) ~= nil)" 2>/dev/null || echo "$2"
}

# Debian has lua-redis for Lua 5.3 and before. The specs run the same file with 5.4.
missing_redis_client() {
  lua5.4 -e "os.exit(package.searchpath('redis', package.path ..
    ';/usr/share/lua/5.4/?.lua;/usr/share/lua/5.3/?.lua') ~= nil)" 2>/dev/null || echo lua-redis
}

# libFuzzer and the sanitizers of clang are in a package of their own, which has clang's version in
# its name and which clang only recommends.
missing_fuzzer_runtime() {
  has clang || return 0 # the next round tells its version
  echo 'int LLVMFuzzerTestOneInput(const char *b, long n) { return n && *b ? 0 : 0; }' |
    clang -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1 ||
    echo "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

# Installs the packages that the given function prints. The function is called again after each
# round, because some needs can only be checked when others are installed. A round without progress
# is an error.
provide() { # FUNCTION
  local missing before=
  while :; do
    missing=$("$1")
    missing=${missing//$'\n'/ }
    [ -n "$missing" ] || return 0
    [ "$missing" != "$before" ] ||
      die "installed, but not fit here: $missing (Debian 12 and Ubuntu 24.04 have fit ones)"
    before=$missing
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
  done
}

install_packages() { # PACKAGE ...
  local sudo=() output
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300)
  if ! has apt-get; then
    die "please install what Debian names: $*"
  elif [ "$(id -u)" -ne 0 ]; then
    has sudo || die "neither root nor sudo; please install: $*"
    sudo=(sudo)
  fi
  say "installing $*"
  output=$(mktemp)
  # apt-get update may fail for an unrelated source. Whether the installation succeeds counts.
  "${sudo[@]}" "${apt[@]}" update >"$output" 2>&1 </dev/null || true
  "${sudo[@]}" "${apt[@]}" install --no-install-recommends "$@" >>"$output" 2>&1 </dev/null || {
    cat "$output" >&2
    rm -f "$output"
    die "apt-get could not install: $*"
  }
  rm -f "$output"
}

# Whether build/PRESET is configured for this folder: it is not if the tree was moved.
is_configured() { # PRESET
  local build=$PARLANCE_ROOT/build/$1
  [ -f "$build/build.ninja" ] &&
    grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PARLANCE_ROOT" "$build/CMakeCache.txt"
}

configure() { # PRESET
  local output
  is_configured "$1" || {
    say "configuring build/$1"
    rm -rf "$PARLANCE_ROOT/build/$1"
  }
  output=$(cd -- "$PARLANCE_ROOT" && cmake --preset "$1" 2>&1) || {
    printf '%s\n' "$output" >&2
    die "build/$1 could not be configured"
  }
}

# Builds TARGETs of build/PRESET. Prints one line if there is work, and the output of the compiler
# if it fails.
build() { # PRESET TARGET ...
  local preset=$1 output line told=
  shift
  output=$(mktemp)
  if ! ninja -C "$PARLANCE_ROOT/build/$preset" "$@" </dev/null 2>&1 |
    while IFS= read -r line; do
      case $line in
        "ninja: Entering"* | "[0/"*) ;;
        "["[1-9]*) [ -n "$told" ] || say "building build/$preset"; told=yes ;;
        *) printf '%s\n' "$line" ;;
      esac
    done >"$output"; then
    cat -- "$output" >&2
    rm -f -- "$output"
    die "build/$preset could not be built"
  fi
  rm -f -- "$output"
}

# Takes the lock of the build, so that two tools do not build at once. Held until unlock_build.
lock_build() {
  mkdir -p -- "$PARLANCE_ROOT/build"
  exec 9>"$PARLANCE_ROOT/build/.lock"
  ! has flock || flock 9
}
unlock_build() { exec 9>&-; }
