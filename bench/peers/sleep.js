// Node's `net` that answers a minute later: node sleep.js PORT
const net = require("net");

net.createServer((socket) => {
  socket.on("data", () => setTimeout(() => socket.write("late\n"), 60000));
}).listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
