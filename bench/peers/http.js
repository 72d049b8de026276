// Node's `http` that says hello: node http.js PORT
const http = require("http");

http.createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 6 });
  response.end("hello\n");
}).listen(Number(process.argv[2]), "127.0.0.1");
