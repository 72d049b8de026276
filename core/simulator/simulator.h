/* simulator.h: sessions and scripts under simulated time and with simulated connections, for the
 * tools and for specs.
 *
 * Scripts are loaded as the server loads them, and sessions are those of the server. A Lua program
 * in a state of its own says what clients send, reads what they receive, and moves the time. It
 * uses the module below: `require "parlance.simulator"` finds it in the binary, or as a file. */
#ifndef SIMULATOR_SIMULATOR_H
#define SIMULATOR_SIMULATOR_H

#include <lua.h>

/* The order of events. Time stands still while anything can run. When it moves to the next instant,
 * first the timers of this instant expire, in the order in which they were set, then the run queue
 * runs, first in, first out: what is woken goes to its end. Bytes that a client sends at an instant
 * come after its timers.
 *
 * The module. Times are in seconds where nothing else is said.
 *
 *   load(path, options)  returns a script; or nil and why it is not valid. Options are the members
 *                        of struct script_options (script/script.h) except `clock` and `sandbox`,
 *                        and these:
 *       time             what os.time() returns at first; default 0
 *       seed             of math.random(); default 1
 *       string_seed      of the order of pairs(), see script/string_seed.h; default 0: random
 *       temp             a folder of make_temp() that the script may write to; it is removed when
 *                        the script is closed
 *       allow_effects    true: the script does not run in the sandbox
 *   make_temp(folder)    makes a folder in this one: returns its path, or nil and why not
 *   log()                returns the log lines since the last call, a list of { level = "warn",
 *                        text = "..." }, and how many further lines were dropped
 *   list(folder)         returns the sorted names of the entries; or nil, why not, and whether the
 *                        folder does not exist
 *   clock()              returns the real time, by a clock that only goes forward
 *   silence(is_silent)   discards what scripts print while is_silent is true
 *   setenv(name, value)  sets a variable of the environment; nil removes it
 *
 * Methods of a script:
 *
 *   open(options)        returns a connection; handle_connect has run. Options are `host`, `name`,
 *                        `port`, `server_host`, `server_port`, `tls` for a connection that begins
 *                        with TLS, and `proxy`: tables of what is to stand in `self.tls` and
 *                        `self.proxy`
 *   datagram(bytes, options)
 *                        somebody sends this datagram: returns what stands for it, with the methods
 *                        of a connection but for those that send and receive; nil: max_tasks
 *                        datagrams are not answered yet. The options are those of open()
 *   reload(is_forced)    returns "reloaded", "unchanged", "refused" or "lacking"; the log has why
 *   advance(seconds)     moves the simulated time: deadlines of connections expire, and functions
 *                        of parlance.every() run, each at its time
 *   set_time(seconds)    sets what os.time() returns now
 *   deadline()           returns the seconds to the next event: a limit of a connection, the end of
 *                        a wait, or a function of parlance.every(); nil: there is none
 *   task_deadline()      returns the seconds to the next event that a task waits for, which is no
 *                        limit of an idle connection; nil: there is none
 *   response_timeout()   returns the limit response_timeout of the protocol; 0: there is none
 *   now()                returns the simulated time since the script was loaded
 *   begin_play()         seeds math.random() anew, and empties the script's folder of all that was
 *                        made there after loading. From now on the garbage collector rests, while
 *                        the script uses less than 64 MiB
 *   end_play()           ends the rest: all finalizers run that are due
 *   play_upstreams(parties, refused, keeps, distrusted)
 *                        from now on somebody plays these parties, which the script may connect to:
 *                        a list of { address =, failure =, why =, tls = }. The nth connect to an
 *                        address is for its nth party, the last one takes all further. `failure` is
 *                        why the connect fails: nil, "refused", "unreachable", "name", "timeout"
 *                        (it never ends), or, of TLS, "certificate" or "handshake". `tls`: who
 *                        connects must begin TLS at once. Connections of before break, unless
 * `keeps` is true: then they keep their numbers. `refused` is the number of the one connect, of all
 * from now on, that is refused; nil or 0: none. `distrusted` is the same for the handshake of TLS
 * whose certificate is refused accept()             returns the number of the next connection that
 * the script has made, and its address; else nil, and how many connects and handshakes of TLS there
 *                        were
 *   upstream_take(n), upstream_send(n, bytes, from, to), upstream_end(n), upstream_reset(n)
 *                        what the party of the nth connection does: reads what the script has sent,
 *                        sends, stops sending, resets the connection
 *   upstream_state(n)    returns what the script has done: "open", "shut" (it sends no more),
 *                        "closed" or "reset"
 *   upstream_wants_tls(n)
 *                        returns whether the script has begun TLS behind plain bytes, and waits
 *   upstream_begin_tls(n, failure, why)
 *                        the party begins TLS, too; or the handshake fails
 *   upstream_unread(n)   returns how many bytes of what the party has sent the script has not read
 *   refuse_upstreams()   refuses all further connects, until play_upstreams()
 *   left_tasks()         returns how many tasks of requests run, which are none of the background
 *   left_streams()       returns how many detached streams are open, and the address of the
 *                        one made last
 *   asked()              returns how often request_complete was called, and with how many bytes
 *   memory(collects)     returns the memory of the script in bytes; true: after a full collection
 *   fingerprint()        returns a text that depends on the contents of all files of the script
 *   name(), listen(), example(), files(), close()
 *
 * Methods of a connection:
 *
 *   receive(bytes, from, to)
 *                        the client sends these bytes: returns how many the session has read.
 *                        These are fewer when too much output waits or the connection has ended
 *   receive_end(is_behind)
 *                        the client sends no more: returns whether the session has read that, or
 *                        has ended with it. Behind unread bytes it can only end with it
 *   take(most)           returns what the client reads, at most so many bytes; "": nothing
 *   take_datagram()      of a datagram: returns the next answer to it, and the number of the answer
 *                        among all answers of the script; nothing if there is none
 *   start_tls(tls)       the client begins TLS, and shows this: returns whether the server awaits
 *                        that (`self:start_tls`), and the client has read all before it
 *   vanish()             resets the connection
 *   drain()              the server begins to stop
 *   finished()           returns whether the server has closed and all output was taken
 *   has_ended()          returns whether the server has stopped sending, though it has not closed
 *   waits()              returns whether a task waits that serves the connection
 *   reason()             returns the reason of the end; "none" before
 *   interim()            returns the interim response of the framing, such as 100 Continue, or nil
 *   requests(), wants_input(), close() */
int luaopen_parlance_simulator(lua_State *L);

#endif
