// Node's `dgram` that sends back what comes: node udp.js PORT
const socket = require("dgram").createSocket("udp4");
socket.on("message", (bytes, peer) => socket.send(bytes, peer.port, peer.address));
socket.bind(Number(process.argv[2]), "127.0.0.1");
