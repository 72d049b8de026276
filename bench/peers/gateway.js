// Node's `http` that asks a Redis for the key that the path names: node gateway.js PORT SOCKET
//
// All requests share one connection: a reply belongs to the oldest command that has none.
const http = require("http");
const net = require("net");

const redis = net.connect(process.argv[3]);
const waiting = [];
let next = 0;
let rest = Buffer.alloc(0);

// Bulk strings alone: the client asks for a key that is there.
redis.on("data", (data) => {
  rest = rest.length ? Buffer.concat([rest, data]) : data;
  for (;;) {
    const end = rest.indexOf("\r\n");
    if (end < 0) return;
    const length = Number(rest.subarray(1, end));
    if (rest.length < end + length + 4) return;
    const value = rest.subarray(end + 2, end + 2 + length);
    rest = rest.subarray(end + length + 4);
    waiting[next++](value);
    if (next > 1000) waiting.splice(0, next), (next = 0);
  }
});

http.createServer((request, response) => {
  const key = decodeURIComponent(request.url.slice(1));
  waiting.push((value) => {
    response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": value.length });
    response.end(value);
  });
  redis.write(`*2\r\n$3\r\nGET\r\n$${Buffer.byteLength(key)}\r\n${key}\r\n`);
}).listen(Number(process.argv[2]), "127.0.0.1");
