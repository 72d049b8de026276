# shellcheck shell=bash
# packages.sh: what tools/run and tools/test need of the machine, how it gets there, and how they
# build. For them to source; PARLANCE_ROOT is set here.
#
# What is needed is looked for by what it does (a program in the path, a module that Lua finds) and
# not by the name of a package, so that it may come from anywhere. What is missing is printed as
# the Debian package that brings it.

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
}

missing_to_test() {
  missing_to_build
  has clang || echo clang
  has clang-format || echo clang-format
  has clang-tidy || echo clang-tidy
  has lua5.4 || echo lua5.4
  has luacheck || echo lua-check
  has curl || echo curl
  has git || echo git
  has pgrep || echo procps
  missing_client
  lua5.4 "$(command -v busted)" --version >/dev/null 2>&1 || echo lua-busted
  missing_lua_module socket lua-socket
  missing_lua_module lpeg lua-lpeg
  missing_lua_module cjson lua-cjson
  missing_fuzzer_runtime
}

# The documents talk to servers with `nc -N`, which not every program of that name knows.
missing_client() {
  grep -q -e ' -N' -e '-[A-Za-z]*N' <<<"$(nc -h 2>&1)" || echo netcat-openbsd
}

# Installs it if that is possible. The server runs without it, and prints another command to try.
provide_client() {
  (provide missing_client) || say "going on without netcat-openbsd"
}

missing_lua_module() { # MODULE PACKAGE
  lua5.4 -e "local find = package.searchpath
    os.exit((find('$1', package.path) or find('$1', package.cpath)) ~= nil)" 2>/dev/null || echo "$2"
}

# libFuzzer and the sanitizers of clang are in a package of their own, named for clang's version,
# that clang only recommends.
missing_fuzzer_runtime() {
  has clang || return 0 # the next round tells its version
  echo 'int LLVMFuzzerTestOneInput(const char *b, long n) { return n && *b ? 0 : 0; }' |
    clang -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1 ||
    echo "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

# Installs what the given function says is missing. It is asked again after each round, because
# some of it shows only when the rest is there; a round that changes nothing ends in an error.
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
  # An update may fail for a source that has nothing to do with us: the installation decides.
  "${sudo[@]}" "${apt[@]}" update >"$output" 2>&1 </dev/null || true
  "${sudo[@]}" "${apt[@]}" install --no-install-recommends "$@" >>"$output" 2>&1 </dev/null || {
    cat "$output" >&2
    rm -f "$output"
    die "apt-get could not install: $*"
  }
  rm -f "$output"
}

# Whether build/PRESET can be handed to ninja: one that came with a moved tree cannot.
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

# Brings TARGETs of build/PRESET up to date. One line tells that there is work; what the compiler
# has to say comes out when it fails.
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

# One build at a time: two terminals may start a tool at once. Held until unlock_build.
lock_build() {
  mkdir -p -- "$PARLANCE_ROOT/build"
  exec 9>"$PARLANCE_ROOT/build/.lock"
  ! has flock || flock 9
}
unlock_build() { exec 9>&-; }
