// Node's `net` with the protocol of length_sep_body: node net.js PORT
const net = require("net");

net.createServer({ noDelay: true }, (client) => {
  let incoming = Buffer.alloc(0);
  client.on("error", () => client.destroy());
  client.on("data", (received) => {
    incoming = incoming.length ? Buffer.concat([incoming, received]) : received;
    const responses = [];
    for (;;) {
      const end = incoming.indexOf(10);
      if (end < 0) break;
      const length = Number(incoming.toString("latin1", 0, end));
      if (incoming.length < end + 1 + length) break;
      responses.push(incoming.subarray(end + 1, end + 1 + length));
      incoming = incoming.subarray(end + 1 + length);
    }
    if (responses.length) client.write(Buffer.concat(responses));
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
