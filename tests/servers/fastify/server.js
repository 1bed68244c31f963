// A Fastify server that lets nobody in without a certificate of its CA, and answers with whose it was. Prints its port, then serves
// until it is ended.
// Usage: server.js CERTIFICATE KEY CAFILE

'use strict';

const fs = require('fs');

const [cert, key, ca] = process.argv.slice(2).map((path) => fs.readFileSync(path));
const server = require('fastify')({
  https: { cert, key, ca, requestCert: true, rejectUnauthorized: true },
});

server.get('/', async (request) => {
  const { subject, serialNumber } = request.raw.socket.getPeerCertificate();
  return `you are CN=${subject.CN}, serial ${serialNumber}, over ${request.raw.socket.getProtocol()}\n`;
});

server.listen({ host: '127.0.0.1', port: 0 }).then(() => console.log(server.server.address().port));
