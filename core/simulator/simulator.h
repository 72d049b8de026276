/* simulator.h: conversations without sockets, for the tools and for specs.
 *
 * A script is loaded as the server loads it, and its conversations are the server's own sessions;
 * what a socket would bring and take, and what time it is, a Lua program says, which runs in a
 * state of its own. It sees this as `require "parlance.simulator"`, from the binary or from a spec
 * runner. */
#ifndef SIMULATOR_SIMULATOR_H
#define SIMULATOR_SIMULATOR_H

#include <lua.h>

/* The module:
 *
 *   load(path, options)  a script; or nil and why it is not valid. `options` has the members of
 *                        struct script_options (script/script.h) but `clock` and `sandbox`; `time`:
 *                        the seconds since 1970 at which its clock stands, 0 where it is not
 *                        given; `temp`: the folder that it may write to, of make_temp(), which is
 *                        removed with the script; `allow_effects`: it may do what it likes
 *   log()                what was logged since, a list of { level = "warn", text = "..." }; and how
 *                        many lines more there were than it keeps
 *   list(folder)         the sorted names of what is in it; nil, why not, and whether it is absent
 *   clock()              the seconds that pass for us, of a clock that is never set back
 *   silence(is_silent)   whether what scripts print goes nowhere, instead of to standard output
 *   setenv(name, value)  for scripts that are loaded later; nil: it is not set
 *
 *   script:open{ host =, name =, port =, server_host =, server_port = }
 *                        a conversation: it has been greeted
 *   script:reload()      "reloaded", "unchanged", "refused" or "lacking": the log says why; forced
 *                        if called with true
 *   script:advance(s)    so many seconds pass, and with them the limits of time of conversations;
 *                        what parlance.every() is to run is run at its times
 *   script:set_time(s)   the seconds since 1970 at which its clock stands now
 *   script:deadline()    in how many seconds the next limit of time runs out, or a function of
 *                        parlance.every() is run; nil: none
 *   script:now()         the seconds that have passed since it was loaded
 *   script:begin_play()  math.random() gives the same as before, and what the script has put into
 *                        its folder since it was loaded is removed
 *   script:asked()       how often request_complete was called, and how many bytes it was shown
 *   script:memory(collects)
 *   script:fingerprint() a text that stands for the contents of all that it was loaded from
 *   script:name(), script:listen(), script:example(), script:files(), script:close()
 *
 *   session:receive(bytes, from, to)
 *                        the client sends these: how many of them were read. It is fewer when too
 *                        much output waits, or when the conversation has ended
 *   session:receive_end()  it sends no more: whether that was read
 *   session:take(most)   what the client reads, "" if there is nothing; at most so many bytes
 *   session:vanish()     the connection breaks
 *   session:drain()      the server is asked to stop
 *   session:finished()   the server has closed, and all output was taken
 *   session:reason(), session:requests(), session:wants_input(), session:close() */
int luaopen_parlance_simulator(lua_State *L);

#endif
